import assert from "node:assert/strict";
import { test } from "node:test";

import {
  filled, gatherSize, gathered, newest, perSecond, rateNow, ratio, slotsOf, stepsOf, typesByDepth, workersInOrder,
} from "../../../src/osqueue/server/dashboard/assets/data/figures.js";
import { pathsOf } from "../../../src/osqueue/server/dashboard/assets/parts/sparkline.js";

const HISTORY = { stepMs: 5_000, from: 10_000, submitted: [10, 20, 30, 4], waitP50: [1, null, 3, null] };

test("steps are those that are over, of the span", () => {
  assert.deepEqual(stepsOf(HISTORY, 26_000, 3_600_000), { xs: [10_000, 15_000, 20_000], submitted: [10, 20, 30], waitP50: [1, null, 3] });
  assert.deepEqual(stepsOf(HISTORY, 26_000, 10_000).submitted, [20, 30]);
  assert.deepEqual(stepsOf(null, 0, 1), { xs: [] });
  assert.deepEqual(stepsOf(HISTORY, 0, 60_000).xs, []);
});

test("a clock that is ahead makes no steps that nobody told of", () => {
  assert.equal(stepsOf(HISTORY, 9e9, 9e9).xs.length, 4);
});

test("the rate is that of the running step and the one before", () => {
  assert.equal(rateNow(HISTORY, "submitted", 27_000), (34 * 1_000) / 7_000);
  assert.equal(rateNow(HISTORY, "submitted", 25_000), 34 / 5);
});

test("the rate falls to nothing when nothing comes, and is unknown at first", () => {
  assert.equal(rateNow(HISTORY, "submitted", 60_000), 0);
  assert.equal(rateNow({ stepMs: 5_000, from: 0, submitted: [1] }, "submitted", 100), null);
  assert.equal(rateNow(null, "submitted", 0), null);
});

test("counts become rates, and ratios where there is something to divide by", () => {
  assert.deepEqual(perSecond([5, null, 0], 5_000), [1, null, 0]);
  assert.deepEqual(ratio([10, 5, 0], [2, 0, undefined]), [5, null, null]);
});

test("steps are gathered as what they are: counted, measured, or the worst", () => {
  const steps = {
    xs: [15, 20, 25, 30, 35], submitted: [1, 2, 3, 4, 5], depth: [1, 1, 3, 5, 5], waitP99: [9, 1, 8, null, 2], putP50: [null, null, null, 1, 3],
  };
  assert.deepEqual(gathered(steps, 5, 2), {
    xs: [15, 20, 30], submitted: [2, 5, 9], depth: [1, 2, 5], waitP99: [9, 8, 2], putP50: [null, null, 2],
  });
  assert.deepEqual(gathered(steps, 5, 1), steps);
  assert.deepEqual(gathered({ xs: [] }, 5, 6), { xs: [] });
});

test("a line that moves on keeps its points", () => {
  const early = gathered({ xs: [0, 5, 10, 15], submitted: [1, 2, 3, 4] }, 5, 2);
  const later = gathered({ xs: [5, 10, 15, 20], submitted: [2, 3, 4, 5] }, 5, 2);
  assert.deepEqual(later.submitted.slice(1, 2), early.submitted.slice(1));
});

test("a chart has about as many points, whatever its span", () => {
  assert.deepEqual([300_000, 900_000, 3_600_000].map((span) => gatherSize(span, 5_000)), [1, 2, 6]);
});

test("a line that has just begun is at its end", () => {
  assert.deepEqual(filled([1, 2], 4), [null, null, 1, 2]);
  assert.deepEqual(filled([1, 2, 3], 2), [1, 2, 3]);
});

test("the newest figure is the last that is known, unless that is long ago", () => {
  assert.equal(newest([1, 2, null]), 2);
  assert.equal(newest([1, ...Array(12).fill(null)]), null);
  assert.equal(newest([]), null);
  assert.equal(newest([0, null]), 0);
});

test("types are ordered by their jobs, the rest last", () => {
  const types = { a: { ready: 1, inProgress: 0, dead: 0 }, other: { ready: 99 }, b: { ready: 1, dead: 4 }, c: { ready: 1 } };
  assert.deepEqual(typesByDepth(types).map(({ name, total }) => [name, total]), [["b", 5], ["a", 1], ["c", 1], ["other", 99]]);
});

test("workers keep their order, whatever they hold", () => {
  const workers = { b: { id: "b", held: 9 }, a: { id: "a", host: "z" }, c: { id: "c", host: "y" } };
  assert.deepEqual(workersInOrder(workers).map(({ id }) => id), ["b", "c", "a"]);
});

test("slots are of the workers that say so", () => {
  assert.deepEqual(slotsOf({ a: { held: 2, concurrency: 4 }, b: { held: 1 } }), { held: 3, slots: 4, workers: 2 });
});

test("a sparkline has a gap where a value is missing, and stays in its box", () => {
  const { line, area } = pathsOf([0, 10, null, 5, 5]);
  assert.equal(line.match(/M/g).length, 2);
  assert.equal(area.match(/Z/g).length, 2);
  const ys = [...line.matchAll(/[ML][\d.]+ ([\d.]+)/g)].map(([, y]) => Number(y));
  assert.equal(ys.length, 4);
  assert(ys.every((y) => y >= 0 && y <= 32));
});

test("a sparkline of nothing is nothing", () => {
  assert.deepEqual(pathsOf([]), { line: "", area: "" });
  assert.deepEqual(pathsOf([null, null]), { line: "", area: "" });
});
