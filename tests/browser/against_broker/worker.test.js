import assert from "node:assert/strict";
import { test } from "node:test";

import { BrowserWorker } from "../../../src/osqueue/server/dashboard/assets/data/browser_worker.js";
import { api, freshType, losing, statusesOf, submit, until } from "./broker.js";

const QUICK = { concurrency: 2, durationMs: 40, failureRate: 0 };
const LONG = { ...QUICK, durationMs: 600_000 };

// A worker that has ended when its test has.
function working(t, settings, requests = api) {
  const worker = new BrowserWorker({ api: requests });
  t.after(() => worker.stop());
  worker.start(settings);
  return worker;
}

test("jobs, when a worker runs in the page, are completed, never more at once than it may", async (t) => {
  const type = freshType();
  const ids = await submit(type, 7);
  const worker = working(t, { ...QUICK, types: [type] });
  let most = 0;
  worker.state.subscribe(({ jobs }) => (most = Math.max(most, jobs.length)));
  const { failed, lost } = await until(worker.state, ({ processed }) => processed === 7, "seven are processed");
  assert.deepEqual([failed, lost, most], [0, 0, 2]);
  assert.deepEqual(new Set(await statusesOf(ids)), new Set(["completed"]));
});

test("jobs that come later, when it waits for them, are worked on", async (t) => {
  const type = freshType();
  const worker = working(t, { ...QUICK, types: [type] });
  await submit(type, 1);
  await until(worker.state, ({ processed }) => processed === 1, "one is processed");
  await submit(type, 2);
  await until(worker.state, ({ processed }) => processed === 3, "three are processed");
});

test("jobs of other types, are left alone", async (t) => {
  const [mine, other] = [freshType(), freshType()];
  const [alone] = await submit(other, 1);
  await submit(mine, 1);
  const worker = working(t, { ...QUICK, types: [mine] });
  await until(worker.state, ({ processed }) => processed === 1, "its own is processed");
  assert.deepEqual(await statusesOf([alone]), ["unclaimed"]);
});

test("a job that it is told to fail, fails with a reason", async (t) => {
  const type = freshType();
  const [id] = await submit(type, 1, { maxAttempts: 1 });
  const worker = working(t, { ...QUICK, failureRate: 1, types: [type] });
  await until(worker.state, ({ failed }) => failed === 1, "one has failed");
  const job = await api.get(`v1/jobs/${id}`);
  assert.deepEqual([job.status, job.lastError.type], ["dead", "PlaygroundError"]);
});

test("a result, when the job is to keep one, is there", async (t) => {
  const type = freshType();
  const [id] = await submit(type, 1, { keepResult: true });
  const worker = working(t, { ...QUICK, types: [type] });
  await until(worker.state, ({ processed }) => processed === 1, "one is processed");
  assert.equal(typeof (await api.get(`v1/jobs/${id}`)).result.ranMs, "number");
});

test("progress, while it works, is known to the broker", async (t) => {
  const type = freshType();
  const [id] = await submit(type, 1);
  working(t, { ...QUICK, durationMs: 6_000, types: [type] });
  for (;;) {
    const { progress } = await api.get(`v1/jobs/${id}`, { waitMs: 300 });
    if (progress?.done > 0) {
      assert.equal(progress.total, 100);
      return;
    }
  }
});

test("a worker that is stopped, gives back what it holds, and no attempt counts", async (t) => {
  const type = freshType();
  const ids = await submit(type, 2);
  const worker = working(t, { ...LONG, types: [type] });
  await until(worker.state, ({ jobs }) => jobs.length === 2, "it holds two");
  await worker.stop();
  const jobs = await Promise.all(ids.map((id) => api.get(`v1/jobs/${id}`)));
  assert.deepEqual(jobs.map(({ status, attempts }) => [status, attempts ?? 0]), [["unclaimed", 0], ["unclaimed", 0]]);
  assert.deepEqual([worker.state.get().state, worker.state.get().jobs], ["stopped", []]);
});

test("what a claim brings that was given up, when the worker is stopped, is given back", async (t) => {
  const type = freshType();
  const post = async (path, body, options) => {
    if (!path.endsWith("/claim")) return api.post(path, body, options);
    const { signal } = options ?? {};
    return Promise.race([api.post(path, body), new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)))]);
  };
  const worker = working(t, { ...LONG, types: [type] }, { ...api, post });
  await submit(type, 1);
  await until(worker.state, ({ jobs }) => jobs.length === 1, "it holds one, and claims another");
  const [{ jobId }] = worker.state.get().jobs;
  await worker.stop();
  const { status, attempts } = await api.get(`v1/jobs/${jobId}`);
  assert.deepEqual([status, attempts], ["unclaimed", 0]);
});

test("a job that is just being completed, when the worker is stopped, is completed", async (t) => {
  const type = freshType();
  const [id] = await submit(type, 1);
  let stopped;
  const post = (path, body, options) => {
    if (path.endsWith("/complete")) stopped = worker.stop();
    return api.post(path, body, options);
  };
  const worker = working(t, { ...QUICK, types: [type] }, { ...api, post });
  await until(worker.state, ({ state }) => state === "stopped", "it has stopped");
  await stopped;
  const { processed, lost } = worker.state.get();
  assert.deepEqual([processed, lost, await statusesOf([id])], [1, 0, ["completed"]]);
});

test("a worker that is stopped twice and started again, works", async (t) => {
  const type = freshType();
  const worker = working(t, { ...QUICK, types: [type] });
  await Promise.all([worker.stop(), worker.stop()]);
  worker.start({ ...QUICK, types: [type] });
  worker.start({ ...QUICK, types: ["of a second start, which does nothing"] });
  await submit(type, 1);
  await until(worker.state, ({ processed }) => processed === 1, "one is processed");
});

test("the answer to a claim, when it is lost, costs nothing: the same claim brings the same jobs", async (t) => {
  const type = freshType();
  const ids = await submit(type, 2);
  const requests = losing(/claim$/, 1);
  const worker = working(t, { ...QUICK, types: [type] }, requests);
  await until(worker.state, ({ processed }) => processed === 2, "both are processed");
  assert.equal(requests.lost[0].jobs.length, 2);
  const jobs = await Promise.all(ids.map((id) => api.get(`v1/jobs/${id}`)));
  assert.deepEqual(jobs.map(({ status, attempts }) => [status, attempts]), [["completed", 1], ["completed", 1]]);
});

test("the answer to a complete, when it is lost, is asked for again and counts once", async (t) => {
  const type = freshType();
  const [id] = await submit(type, 1);
  const requests = losing(/complete$/, 2);
  const worker = working(t, { ...QUICK, types: [type] }, requests);
  const { lost } = await until(worker.state, ({ processed }) => processed === 1, "it is processed");
  assert.deepEqual([lost, requests.lost.length, await statusesOf([id])], [0, 2, ["completed"]]);
});

test("a job that is cancelled under it, is forgotten, and its place is free", async (t) => {
  const type = freshType();
  const [id] = await submit(type, 1);
  const worker = working(t, { ...LONG, concurrency: 1, types: [type] });
  await until(worker.state, ({ jobs }) => jobs.length === 1, "it holds one");
  await api.del(`v1/jobs/${id}`);
  await until(worker.state, ({ lost, jobs }) => lost === 1 && jobs.length === 0, "it has forgotten it");
  await submit(type, 1);
  await until(worker.state, ({ jobs }) => jobs.length === 1, "it holds the next");
});

test("a broker that refuses it, ends it, and it says why", async (t) => {
  const worker = working(t, { ...QUICK, types: ["t".repeat(10_000)] });
  const { error } = await until(worker.state, ({ state }) => state === "stopped", "it has stopped");
  assert.equal(error.status, 400);
});

test("what a page sends as it goes, gives back what it holds", async (t) => {
  const type = freshType();
  const [id] = await submit(type, 1);
  const worker = working(t, { ...LONG, types: [type] });
  await until(worker.state, ({ jobs }) => jobs.length === 1, "it holds one");
  for (const { path, body } of worker.leave()) await api.post(path, body);
  assert.deepEqual(await statusesOf([id]), ["unclaimed"]);
  assert.deepEqual([worker.state.get().state, worker.state.get().jobs], ["stopped", []]);
});
