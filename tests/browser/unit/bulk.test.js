import assert from "node:assert/strict";
import { test } from "node:test";

import { actOnFilter, actOnGroup, actOnIds, actOnPages } from "../../../src/osqueue/server/dashboard/assets/data/bulk.js";

// What the broker answers, one after another; what it was asked for stands in `asked`.
function answering(...answers) {
  const asked = [];
  const next = async (...request) => {
    asked.push(request);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { asked, get: next, post: next };
}

const bodies = (api) => api.asked.map(([, body]) => body);
const ids = (count) => Array.from({ length: count }, (_, n) => `j${n}`);

test("more ids than one request may name, go in several, in order", async () => {
  const api = answering({ done: 1_000, failed: [], left: false }, { done: 499, failed: [{ jobId: "j1200", error: {} }], left: false });
  const told = [];
  const outcome = await actOnIds(api, { action: "cancel" }, ids(1_500), { onProgress: ({ done }) => told.push(done) });
  assert.deepEqual(bodies(api).map(({ jobIds }) => jobIds.length), [1_000, 500]);
  assert.equal(bodies(api)[1].jobIds[0], "j1000");
  assert.deepEqual([outcome.done, outcome.failures, outcome.left], [1_499, 1, false]);
  assert.deepEqual(told, [1_000, 1_499]);
});

test("failures that an answer does not list, are counted", async () => {
  const { failures } = await actOnIds(answering({ done: 10, failed: [], left: false }), { action: "retry" }, ids(100));
  assert.equal(failures, 90);
});

test("a whole filter, is acted on until nothing is left", async () => {
  const api = answering({ done: 1_000, failed: [], left: true }, { done: 200, failed: [], left: false });
  const outcome = await actOnFilter(api, { action: "cancel" }, { type: "a" });
  assert.deepEqual(bodies(api), Array(2).fill({ action: "cancel", filter: { type: "a" }, max: 1_000 }));
  assert.deepEqual([outcome.done, outcome.left], [1_200, false]);
});

test("a filter of which nothing moves any more, is not asked for ever", async () => {
  const api = answering({ done: 0, failed: [{ jobId: "j", error: {} }], left: true });
  const outcome = await actOnFilter(api, { action: "retry" }, {});
  assert.deepEqual([api.asked.length, outcome.left, outcome.failures], [1, true, 1]);
});

test("an action that is stopped, tells what was done by then", async () => {
  const controller = new AbortController();
  const api = answering({ done: 5, failed: [], left: true }, { done: 5, failed: [], left: true });
  const outcome = await actOnFilter(api, { action: "cancel" }, {}, { signal: controller.signal, onProgress: () => controller.abort() });
  assert.deepEqual([api.asked.length, outcome.done, outcome.left], [1, 5, true]);
});

test("a request that fails, is thrown with what was done before", async () => {
  const api = answering({ done: 1_000, failed: [], left: true }, new Error("the broker cannot be reached"));
  await assert.rejects(actOnFilter(api, { action: "cancel" }, {}), (error) => error.outcome.done === 1_000 && error.outcome.left);
});

test("pages of a listing, are gone through by their cursors, also those without jobs", async () => {
  const pages = [{ jobs: [{ id: "a" }], nextCursor: "1" }, { jobs: [], nextCursor: "2" }, { jobs: [{ id: "b" }] }];
  const cursors = [];
  const pageOf = async (cursor) => (cursors.push(cursor), pages.shift());
  const api = answering({ done: 1, failed: [], left: false }, { done: 1, failed: [], left: false });
  const outcome = await actOnPages(api, { action: "setPriority", priority: 5 }, pageOf);
  assert.deepEqual(cursors, [undefined, "1", "2"]);
  assert.deepEqual(bodies(api).map(({ jobIds, priority }) => [...jobIds, priority]), [["a", 5], ["b", 5]]);
  assert.equal(outcome.done, 2);
});

test("a group of more dead letters than an answer names, is asked for again until it is gone", async () => {
  const group = (count, jobIds) => ({ groups: [{ key: "k", count, jobIds }, { key: "other", count: 1, jobIds: ["x"] }] });
  const api = answering(group(3, ["a", "b"]), { done: 2, failed: [], left: false }, group(1, ["c"]), { done: 1, failed: [], left: false });
  const outcome = await actOnGroup(api, { action: "retry" }, "k");
  assert.deepEqual([outcome.done, outcome.left], [3, false]);
  assert.deepEqual(bodies(api).filter(({ jobIds }) => jobIds).map(({ jobIds }) => jobIds.join()), ["a,b", "c"]);
});

test("a group that is gone already, is no failure", async () => {
  assert.deepEqual(await actOnGroup(answering({ groups: [] }), { action: "retry" }, "k"), { done: 0, failed: [], failures: 0, left: false });
});
