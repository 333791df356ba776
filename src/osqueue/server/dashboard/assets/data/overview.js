// What the broker tells of its queue, document by document, as one whole. Pure.
// Laws: a document with `reset` (or the first) is the whole, any other says what has changed since the
// last; what we keep is bounded, however long the page stays open.

/** So many steps are kept, unless the broker says how many it keeps itself: an hour. */
export const HISTORY_STEPS = 720;
export const ACTIVITY_MAX = 200;
const CLOCK_JUMP_MS = 5_000;
/** In these a step without a document is 0; in the others it is unknown. */
const COUNTED = new Set(["submitted", "completed", "failed", "dead", "commits", "changes"]);

/** The whole after `document`, which came at `receivedAt` by this machine's clock. */
export function reduce(before, document, receivedAt) {
  const old = document.reset || !before ? blank() : before;
  const broker = document.broker ?? old.broker;
  return {
    seq: document.seq ?? old.seq,
    now: document.now ?? old.now,
    receivedAt,
    skew: skewOf(before, document, receivedAt),
    broker,
    counts: document.counts ?? old.counts,
    types: typesOf(old.types, document.types),
    history: document.history ? historyOf(old.history, document.history) : old.history,
    workers: workersOf(old.workers, document),
    activity: activityOf(old, document.activity),
    told: old.told + (document.activity?.length ?? 0),
    skipped: old.skipped + (document.skipped ?? 0),
  };
}

function blank() {
  return {
    seq: undefined, now: undefined, broker: null, counts: null, types: copyOf(), history: null, workers: copyOf(), activity: [], told: 0, skipped: 0,
  };
}

/** How far this machine's clock is ahead. Travel only makes it look larger, so the least counts. */
function skewOf(before, document, receivedAt) {
  const old = before?.skew ?? 0;
  if (document.now === undefined) return old;
  const seen = receivedAt - document.now;
  if (!before || Math.abs(seen - old) > CLOCK_JUMP_MS) return seen;
  return Math.min(seen, old);
}

function typesOf(old, changed) {
  if (!changed) return old;
  const types = copyOf(old);
  for (const [name, counts] of Object.entries(changed)) {
    if (counts === null) delete types[name];
    else types[name] = counts;
  }
  return types;
}

function workersOf(old, { workers = [], workersGone = [] }) {
  if (!workers.length && !workersGone.length) return old;
  const all = copyOf(old);
  for (const id of workersGone) delete all[id];
  for (const worker of workers) all[worker.id] = worker;
  return all;
}

/** By names that others chose: "__proto__" must be one like any other. */
function copyOf(old) {
  return Object.assign(Object.create(null), old);
}

/** The newest first, each with a key that it keeps while it moves down. */
function activityOf({ activity, told }, events = []) {
  if (!events.length) return activity;
  const keyed = events.map((event, index) => ({ ...event, key: told + index }));
  keyed.sort((one, other) => other.at - one.at || other.key - one.key);
  return [...keyed, ...activity].slice(0, ACTIVITY_MAX);
}

/** The steps that we had, overwritten from `from` on. Steps that nobody told of are filled. */
export function historyOf(old, told) {
  const names = Object.keys(told).filter((name) => Array.isArray(told[name]));
  const at = old && old.stepMs === told.stepMs ? Math.round((told.from - old.from) / told.stepMs) : -1;
  if (at < 0) return trimmed({ ...told }, names);
  const merged = { stepMs: told.stepMs, stepsMax: told.stepsMax, from: old.from };
  for (const name of names) merged[name] = joined(old[name] ?? [], told[name], at, COUNTED.has(name) ? 0 : null);
  return trimmed(merged, names);
}

function joined(old, told, at, filling) {
  const kept = old.slice(0, at);
  while (kept.length < at && at - kept.length <= HISTORY_STEPS) kept.push(filling);
  const lost = at - kept.length;
  return lost > 0 ? [...Array.from({ length: at }, () => filling), ...told] : [...kept, ...told];
}

function trimmed(history, names) {
  const length = Math.max(0, ...names.map((name) => history[name].length));
  const extra = Math.max(0, length - (history.stepsMax ?? HISTORY_STEPS));
  const result = { stepMs: history.stepMs, stepsMax: history.stepsMax, from: history.from + extra * history.stepMs };
  for (const name of names) result[name] = history[name].slice(extra);
  return result;
}
