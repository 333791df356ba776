import assert from "node:assert/strict";
import { test } from "node:test";

import { WorkflowWatch, hasEdges, pauseAfter } from "../../../src/osqueue/server/dashboard/assets/data/workflow_watch.js";

const of = (...statuses) => ({ jobs: statuses.map((status, n) => ({ id: `j${n}`, status })), edges: statuses.slice(1).map((_, n) => [`j${n}`, `j${n + 1}`]) });

test("a workflow in which something can happen is looked at often, any other now and then", () => {
  assert.equal(pauseAfter(of("completed", "unclaimed"), 0), 1_500);
  assert.equal(pauseAfter(of("completed", "in_progress"), 0), 1_500);
  assert.equal(pauseAfter(of("completed", "dead"), 0), 5_000);
  assert.equal(pauseAfter(of("unclaimed"), 0), 5_000, "it stands alone");
});

test("after failures it waits longer each time, up to a bound", () => {
  assert.deepEqual([1, 2, 3, 9].map((failures) => pauseAfter(undefined, failures)), [1_000, 2_000, 5_000, 5_000]);
});

test("without edges there is nothing to be drawn", () => {
  assert.deepEqual([undefined, of("dead"), of("dead", "unclaimed")].map(hasEdges), [false, false, true]);
});

test("a look shows what is there, another at once what has come, and none after its end", async () => {
  const asked = [];
  const answers = [of("unclaimed"), of("completed", "unclaimed")];
  const api = { get: async (path, query, { signal }) => (asked.push(path), assert.equal(signal.aborted, false), answers[asked.length - 1]) };
  const watch = new WorkflowWatch({ api, id: "a/b" });
  const shown = () => new Promise((resolve) => { const stop = watch.state.subscribe((state) => (stop(), resolve(state.workflow))); });
  assert.equal(await shown(), answers[0]);
  watch.look();
  assert.equal(await shown(), answers[1]);
  watch.close();
  await watch.run;
  assert.deepEqual(asked, ["v1/jobs/a%2Fb/workflow", "v1/jobs/a%2Fb/workflow"]);
});

test("a failure leaves what was known", async () => {
  let fail = false;
  const api = { get: async () => { if (fail) throw new Error("gone"); return of("completed", "unclaimed"); } };
  const watch = new WorkflowWatch({ api, id: "a" });
  await new Promise((resolve) => watch.state.subscribe(resolve));
  fail = true;
  watch.look();
  await new Promise(setImmediate);
  assert.equal(watch.state.get().workflow.edges.length, 1);
  watch.close();
  await watch.run;
});
