import assert from "node:assert/strict";
import { test } from "node:test";

import { actionsOn, timelineOf } from "../../../src/osqueue/server/dashboard/assets/data/attempts.js";
import { pauseAfter } from "../../../src/osqueue/server/dashboard/assets/data/job_watch.js";

const kinds = (job, now = 100) => timelineOf(job, now).map(({ kind, at, attempt }) => [kind, at, attempt].filter((each) => each !== undefined).join(" "));
const error = (attempt, at) => ({ type: "E", message: "m", attempt, at, workerId: "w" });

test("a job that waits, was submitted and is ready, or delayed", () => {
  assert.deepEqual(kinds({ status: "unclaimed", createdAt: 1 }), ["submitted 1", "ready"]);
  assert.deepEqual(kinds({ status: "unclaimed", createdAt: 1, runAt: 200 }), ["submitted 1", "delayed 200"]);
  assert.deepEqual(kinds({ status: "unclaimed", createdAt: 1, runAt: 50 }), ["submitted 1", "ready"]);
});

test("a job that runs for the third time, tells of both failures and of the attempt", () => {
  const job = { status: "in_progress", createdAt: 1, attempts: 3, workerId: "w2", heartbeat: 90, errors: [error(1, 10), error(2, 20)] };
  assert.deepEqual(kinds(job), ["submitted 1", "failed 10 1", "failed 20 2", "running 90 3"]);
  assert.equal(timelineOf(job, 100).at(-1).workerId, "w2");
});

test("a dead letter of which only the last failures are kept, tells how many came before", () => {
  const steps = timelineOf({ status: "dead", createdAt: 1, attempts: 5, errors: [error(4, 40), error(5, 50)] }, 100);
  assert.deepEqual(steps.map(({ kind }) => kind), ["submitted", "forgotten", "failed", "failed", "dead"]);
  assert.equal(steps[1].note, "3 earlier failed attempts");
  assert.equal(steps.at(-1).at, 50);
});

test("of an ended job of which little is known, what is known is told", () => {
  assert.deepEqual(kinds({ status: "cancelled", endedAt: 9 }), ["submitted", "cancelled 9"]);
  assert.deepEqual(kinds({ status: "completed", createdAt: 1, attempts: 2, endedAt: 9, workerId: "w", lastError: error(1, 5) }), ["submitted 1", "failed 5 1", "completed 9 2"]);
});

test("actions on a job, by its status, are those that can be done", () => {
  assert.deepEqual(actionsOn({ status: "dead" }), ["retry", "discard"]);
  assert.deepEqual(actionsOn({ status: "unclaimed" }), ["cancel", "setPriority"]);
  assert.deepEqual(actionsOn({ status: "in_progress" }), ["cancel"]);
  assert.deepEqual(actionsOn({ status: "completed" }), []);
});

test("a job is looked at again at once while it moves, rarely when it is dead, and never when it has ended", () => {
  assert.equal(pauseAfter({ job: { status: "in_progress" } }, 0), 0);
  assert.equal(pauseAfter({ job: { status: "dead" } }, 0), 3_000);
  assert.equal(pauseAfter({ job: { status: "completed" } }, 0), Infinity);
  assert.equal(pauseAfter({ job: undefined, error: { status: 404 } }, 1), 3_000);
  assert.deepEqual([1, 2, 9].map((failures) => pauseAfter({ error: { status: 0 } }, failures)), [500, 1_000, 5_000]);
});

test("a job that waits for others says so, and one that ended with them tells why at its end", () => {
  assert.deepEqual(kinds({ status: "unclaimed", createdAt: 1, runAt: 200, waitsFor: ["a"] }), ["submitted 1", "waiting"]);
  const orphaned = { type: "ParentNotCompleted", message: "waits for a job that was cancelled: a", attempt: 0, at: 9 };
  const steps = timelineOf({ status: "cancelled", createdAt: 1, endedAt: 9, errors: [orphaned] }, 100);
  assert.deepEqual(steps, [{ kind: "submitted", at: 1 }, { kind: "cancelled", at: 9, error: orphaned }]);
});
