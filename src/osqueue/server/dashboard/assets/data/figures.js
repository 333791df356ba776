// Figures that the views show, worked out of the overview. Pure.

/** A chart has so many points at most: more are noise to the eye. */
const POINTS = 120;
const LEAST_MS = 500;
/** What is not counted in a step, but measured. */
const MEANS = new Set(["waitP50", "putP50", "depth"]);

/** The steps that are over, of the last `spanMs`: {xs, and each list of figures}. */
export function stepsOf(history, now, spanMs) {
  if (!history) return { xs: [] };
  const { stepMs, from } = history;
  const names = Object.keys(history).filter((name) => Array.isArray(history[name]));
  const length = Math.max(0, ...names.map((name) => history[name].length));
  const over = Math.max(0, Math.min(length, Math.floor((now - from) / stepMs)));
  const first = Math.max(0, over - Math.floor(spanMs / stepMs));
  const steps = { xs: Array.from({ length: over - first }, (_, index) => from + (first + index) * stepMs) };
  for (const name of names) steps[name] = history[name].slice(first, over);
  return steps;
}

/**
 * Steps together, `size` at a time, so that a long span is a calm line: summed, averaged, or the worst.
 * They stand where a clock has them, so that a line does not change as it moves on. The last may
 * be of few steps: it is taken for what it would be at that rate.
 */
export function gathered({ xs, ...lists }, stepMs, size) {
  if (size <= 1) return { xs, ...lists };
  const starts = xs.flatMap((at, index) => (index === 0 || (at / stepMs) % size === 0 ? [index] : []));
  const all = { xs: starts.map((start) => xs[start]) };
  for (const [name, values] of Object.entries(lists)) {
    all[name] = starts.map((start, index) => together(name, values.slice(start, starts[index + 1]), size));
  }
  return all;
}

function together(name, values, size) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (!known.length) return null;
  if (name.endsWith("P99")) return Math.max(...known);
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return MEANS.has(name) ? mean : mean * size;
}

/** Counts per step as counts per second. */
export function perSecond(counts = [], stepMs) {
  return counts.map((count) => (count === null ? null : (count * 1_000) / stepMs));
}

/** One list divided by another, where there is something to divide by. */
export function ratio(counts = [], by = []) {
  return counts.map((count, index) => (by[index] ? count / by[index] : null));
}

/** How many a second just now: of the step that runs, and of the one before it. */
export function rateNow(history, name, now) {
  const counts = history?.[name];
  if (!counts?.length) return null;
  const { stepMs, from } = history;
  const running = Math.floor((now - from) / stepMs);
  const passed = now - (from + running * stepMs);
  const sum = (counts[running] ?? 0) + (counts[running - 1] ?? 0);
  const lasted = (running > 0 ? stepMs : 0) + passed;
  return lasted < LEAST_MS ? null : (sum * 1_000) / lasted;
}

/** The newest value that is known, of the last few. */
export function newest(values = [], within = 12) {
  const recent = values.slice(-within);
  for (let index = recent.length - 1; index >= 0; index -= 1) {
    if (recent[index] !== null && recent[index] !== undefined) return recent[index];
  }
  return null;
}

/** How many steps of the history make one of a chart of this span. */
export function gatherSize(spanMs, stepMs) {
  return Math.max(1, Math.round(spanMs / POINTS / stepMs));
}

/** The values at the end of a line of `length` points: what was before them is not known. */
export function filled(values, length) {
  return [...Array(Math.max(0, length - values.length)).fill(null), ...values];
}

/** Types with their counts, those with the most jobs first; "other" is always last. */
export function typesByDepth(types) {
  const rows = Object.entries(types).map(([name, counts]) => ({ name, ...counts, total: depthOf(counts) }));
  return rows.sort((one, other) => (one.name === "other") - (other.name === "other") || other.total - one.total || compare(one.name, other.name));
}

/** Workers in an order that does not change while they work. */
export function workersInOrder(workers) {
  return Object.values(workers).sort((one, other) => compare(one.host ?? "", other.host ?? "") || compare(one.id, other.id));
}

/** How many slots there are, of the workers that say so, and how many jobs are held. */
export function slotsOf(workers) {
  const all = Object.values(workers);
  return {
    held: all.reduce((sum, worker) => sum + (worker.held ?? 0), 0),
    slots: all.reduce((sum, worker) => sum + (worker.concurrency ?? 0), 0),
    workers: all.length,
  };
}

function depthOf({ ready = 0, delayed = 0, inProgress = 0, dead = 0 }) {
  return ready + delayed + inProgress + dead;
}

function compare(one, other) {
  return one < other ? -1 : Number(one > other);
}
