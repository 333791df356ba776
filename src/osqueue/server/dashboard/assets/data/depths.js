// How many jobs of each type there are, most first. Pure.

/** What the overview calls all types that are too many to be told apart. */
export const OTHER = "other";

/** `types` as the overview has them; rows are `{type, label, ready, inProgress, dead, total}`. */
export function depthsOf(types) {
  const rows = Object.entries(types).map(([type, counts]) => rowOf(type, counts));
  return rows.sort((one, another) => another.total - one.total || (one.type < another.type ? -1 : 1));
}

function rowOf(type, { ready = 0, inProgress = 0, dead = 0 }) {
  return { type, label: type || "untyped", ready, inProgress, dead, total: ready + inProgress + dead };
}
