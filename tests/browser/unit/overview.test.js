import assert from "node:assert/strict";
import { test } from "node:test";

import { ACTIVITY_MAX, HISTORY_STEPS, historyOf, reduce } from "../../../src/osqueue/server/dashboard/assets/data/overview.js";

const STEP = 5_000;
const WHOLE = { stepMs: STEP, stepsMax: 720 };

function all(documents) {
  return documents.reduce((overview, document) => reduce(overview, document, document.now ?? 0), null);
}

/** An object of names like any other, for comparisons. */
function plain(names) {
  return { ...names };
}

function event(jobId, at) {
  return { kind: "submitted", jobId, type: "t", at };
}

test("the first document is the whole", () => {
  const overview = all([{ seq: "1", now: 7, reset: true, counts: { total: 1 }, types: { a: { ready: 1 } }, broker: { role: "leader" } }]);
  assert.deepEqual([overview.seq, overview.now, overview.counts.total, overview.types.a.ready], ["1", 7, 1, 1]);
});

test("a delta changes what it names, and leaves the rest", () => {
  const overview = all([
    { seq: "1", reset: true, counts: { total: 1 }, types: { a: { ready: 1 }, b: { ready: 2 } }, broker: { epoch: 4 } },
    { seq: "2", counts: { total: 5 }, types: { a: null, c: { ready: 3 } } },
  ]);
  assert.deepEqual(plain(overview.types), { b: { ready: 2 }, c: { ready: 3 } });
  assert.deepEqual([overview.seq, overview.counts.total, overview.broker.epoch], ["2", 5, 4]);
});

test("a state is never changed, only followed by another", () => {
  const first = Object.freeze(all([{ seq: "1", reset: true, types: { a: { ready: 1 } }, workers: [{ id: "w" }] }]));
  Object.freeze(first.types);
  Object.freeze(first.workers);
  const second = reduce(first, { seq: "2", types: { a: null }, workersGone: ["w"] }, 0);
  assert.deepEqual([plain(first.types), plain(second.types)], [{ a: { ready: 1 } }, {}]);
  assert.deepEqual(plain(second.workers), {});
});

test("a reset forgets everything from before", () => {
  const overview = all([
    { seq: "1", reset: true, types: { a: { ready: 1 } }, workers: [{ id: "w" }], activity: [event("1", 1)], counts: { total: 9 } },
    { seq: "x", reset: true, broker: { role: "standby" } },
  ]);
  assert.deepEqual([plain(overview.types), plain(overview.workers), overview.activity, overview.counts], [{}, {}, [], null]);
});

test("workers are taken by id, and go when they are gone", () => {
  const overview = all([
    { reset: true, workers: [{ id: "a", held: 1 }, { id: "b", held: 2 }] },
    { workers: [{ id: "b", held: 3 }, { id: "c", held: 0 }], workersGone: ["a"] },
  ]);
  assert.deepEqual(Object.values(overview.workers).map(({ id, held }) => [id, held]), [["b", 3], ["c", 0]]);
});

test("a worker or a type named like something of every object is only a name", () => {
  const overview = all([{ reset: true, workers: [{ id: "__proto__", held: 1 }], types: JSON.parse('{"__proto__": {"ready": 2}}') }]);
  assert.deepEqual(Object.keys(overview.workers), ["__proto__"]);
  assert.deepEqual(Object.keys(overview.types), ["__proto__"]);
  assert.equal({}.ready, undefined);
});

test("activity is the newest first, bounded, and each line keeps its key", () => {
  const documents = [{ reset: true, activity: [event("1", 1), event("2", 2)] }, { activity: [event("4", 4), event("3", 3)] }];
  const overview = all(documents);
  assert.deepEqual(overview.activity.map(({ jobId }) => jobId), ["4", "3", "2", "1"]);
  const key = overview.activity.at(-1).key;
  let later = overview;
  for (let at = 5; at < 5 + ACTIVITY_MAX - 4; at += 1) later = reduce(later, { activity: [event(String(at), at)] }, 0);
  assert.equal(later.activity.length, ACTIVITY_MAX);
  assert.equal(later.activity.at(-1).key, key);
  assert.equal(new Set(later.activity.map((line) => line.key)).size, ACTIVITY_MAX);
  assert.equal(reduce(later, { activity: [event("n", 9_999)] }, 0).activity.length, ACTIVITY_MAX);
});

test("what was left out of the activity is added up", () => {
  assert.equal(all([{ reset: true, skipped: 5 }, { skipped: 7 }, {}]).skipped, 12);
});

test("the last step of the history is overwritten until it is over", () => {
  let history = historyOf(null, { ...WHOLE, from: 0, submitted: [1, 2], waitP50: [null, 7] });
  history = historyOf(history, { ...WHOLE, from: STEP, submitted: [5, 6], waitP50: [8, null] });
  assert.deepEqual(history, { ...WHOLE, from: 0, submitted: [1, 5, 6], waitP50: [null, 8, null] });
});

test("steps that nobody told of are nothing, or unknown", () => {
  let history = historyOf(null, { stepMs: STEP, from: 0, submitted: [1], depth: [4] });
  history = historyOf(history, { stepMs: STEP, from: 3 * STEP, submitted: [2], depth: [6] });
  assert.deepEqual([history.submitted, history.depth], [[1, 0, 0, 2], [4, null, null, 6]]);
});

test("the history is an hour, however long the page is open", () => {
  let history = historyOf(null, { stepMs: STEP, from: 0, submitted: [0] });
  for (let step = 1; step <= 2 * HISTORY_STEPS; step += 1) {
    history = historyOf(history, { stepMs: STEP, from: step * STEP, submitted: [step] });
  }
  assert.equal(history.submitted.length, HISTORY_STEPS);
  assert.equal(history.from, (HISTORY_STEPS + 1) * STEP);
  assert.equal(history.submitted.at(-1), 2 * HISTORY_STEPS);
});

test("as many steps are kept as the broker says that it keeps", () => {
  const few = { ...WHOLE, stepsMax: 3 };
  let history = historyOf(null, { ...few, from: 0, submitted: [1, 2, 3] });
  history = historyOf(history, { ...few, from: 2 * STEP, submitted: [4, 5] });
  assert.deepEqual(history, { ...few, from: STEP, submitted: [2, 4, 5] });
});

test("a page that has slept for long keeps an hour, too", () => {
  let history = historyOf(null, { stepMs: STEP, from: 0, submitted: [1, 1] });
  const from = 1_000_000 * STEP;
  history = historyOf(history, { stepMs: STEP, from, submitted: [2] });
  assert.equal(history.submitted.length, HISTORY_STEPS);
  assert.equal(history.from + (HISTORY_STEPS - 1) * STEP, from);
  assert.deepEqual(history.submitted.slice(-2), [0, 2]);
});

test("a history that begins earlier, or in other steps, replaces ours", () => {
  const old = historyOf(null, { ...WHOLE, from: 10 * STEP, submitted: [1] });
  for (const told of [{ ...WHOLE, from: 0, submitted: [7, 8] }, { ...WHOLE, stepMs: 1_000, from: 60_000, submitted: [7] }]) {
    assert.deepEqual(historyOf(old, told), told);
  }
});

test("the difference of the clocks is the least that was seen, until a clock is set", () => {
  const skews = [];
  let overview = null;
  for (const [now, received] of [[1_000, 1_100], [2_000, 2_040], [3_000, 3_900], [4_000, 64_000]]) {
    overview = reduce(overview, { reset: !overview, now }, received);
    skews.push(overview.skew);
  }
  assert.deepEqual(skews, [100, 40, 40, 60_000]);
});

test("a page that is told of a busy queue for a day, holds no more than after an hour", () => {
  const steps = 24 * HISTORY_STEPS;
  let overview = reduce(null, { reset: true, now: 0, types: {}, workers: [], activity: [] }, 0);
  const sizes = [];
  for (let step = 1; step <= steps; step += 1) {
    const activity = Array.from({ length: 50 }, (_, n) => ({ kind: "completed", jobId: `${step}-${n}`, at: step * STEP }));
    const workers = [{ id: `worker-${step}`, held: 1, jobs: [{ id: `job-${step}` }] }];
    const types = { [`type-${step}`]: { ready: 1 }, [`type-${step - 9}`]: null };
    const history = { stepMs: STEP, from: step * STEP, submitted: [100], waitP50: [5] };
    const gone = [`worker-${step - 9}`];
    overview = reduce(overview, { seq: `${step}`, now: step * STEP, types, workers, workersGone: gone, history, activity }, step * STEP);
    if (step % HISTORY_STEPS === 0) sizes.push(JSON.stringify({ ...overview, told: 0 }).length);
  }
  assert.equal(sizes.length, 24);
  assert.ok(Math.max(...sizes.slice(1)) < 1.05 * sizes[1], String(sizes));
  assert.equal(Object.keys(overview.workers).length, 9);
  assert.equal(overview.activity.length, ACTIVITY_MAX);
});
