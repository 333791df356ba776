// Dead letters grouped by their error, as they are shown while they go on changing. Pure.

/**
 * The groups that are shown, with what is known of them now. None moves: new ones come last, and
 * those that are gone stay with a count of 0.
 */
export function mergedGroups(shown, fresh) {
  const now = new Map(fresh.map((group) => [group.key, group]));
  const kept = shown.map((group) => now.get(group.key) ?? { ...group, count: 0, types: {}, jobIds: [] });
  const known = new Set(shown.map(({ key }) => key));
  return [...kept, ...fresh.filter(({ key }) => !known.has(key))];
}

/** The types of a group, most first: `[[type, count], …]`. */
export function typesOf(group) {
  return Object.entries(group.types ?? {}).sort(([, one], [, other]) => other - one);
}

/** What to search the jobs for to find a group's: the longest part of its message that is said as it is. */
export function searchOf({ errorType, message }) {
  const parts = (message ?? "").split("#").map((part) => part.trim());
  const longest = parts.reduce((best, part) => (part.length > best.length ? part : best), "");
  return (longest.length > 3 ? longest : (errorType ?? "")).slice(0, 200);
}
