import assert from "node:assert/strict";
import { test } from "node:test";

import { ANY } from "../../../src/osqueue/server/dashboard/assets/data/filters.js";
import { JobList } from "../../../src/osqueue/server/dashboard/assets/data/job_list.js";
import { JobWatch } from "../../../src/osqueue/server/dashboard/assets/data/job_watch.js";
import { api, freshType, submit, until } from "./broker.js";

function listing(t, filter) {
  const jobs = new JobList({ api, filter: { ...ANY, order: "oldest", ...filter } });
  t.after(() => jobs.close());
  return jobs;
}

const rowsOf = (jobs) => jobs.state.get().list.rows;

test("a list, when it is read on, has every job once, in order", async (t) => {
  const type = freshType();
  const ids = await submit(type, 450);
  const jobs = listing(t, { type });
  await jobs.reload();
  assert.equal(rowsOf(jobs).length, 200);
  await Promise.all([jobs.more(), jobs.more(), jobs.more()]);
  assert.deepEqual(rowsOf(jobs).map(({ id }) => id), ids);
  assert.ok(jobs.state.get().list.complete);
  assert.equal(jobs.more(), undefined);
});

test("a list that is held, when the queue changes, keeps its rows and tells what has changed", async (t) => {
  const type = freshType();
  const ids = await submit(type, 3);
  const jobs = listing(t, { type });
  await jobs.reload();
  await api.del(`v1/jobs/${ids[1]}`);
  await submit(type, 2);
  await jobs.refresh(0, 3, true);
  assert.deepEqual(rowsOf(jobs).map(({ id, gone }) => [id, gone]), ids.map((id) => [id, id === ids[1]]));
  assert.equal(jobs.state.get().list.news.size, 2);
});

test("a list that nobody holds, when the queue changes, begins anew", async (t) => {
  const type = freshType();
  const [first, second] = await submit(type, 2);
  const jobs = listing(t, { type });
  await jobs.reload();
  await api.del(`v1/jobs/${first}`);
  await jobs.refresh(0, 2, false);
  assert.deepEqual(rowsOf(jobs).map(({ id }) => id), [second]);
});

test("refreshes, when they follow at once, are not all made", async (t) => {
  const type = freshType();
  await submit(type, 1);
  let asked = 0;
  const counting = { ...api, get: (...request) => ((asked += 1), api.get(...request)) };
  const jobs = new JobList({ api: counting, filter: { ...ANY, order: "oldest", type } });
  t.after(() => jobs.close());
  await jobs.reload();
  await Promise.all([1, 2, 3, 4].map(() => jobs.refresh(0, 1, true)));
  await jobs.refresh(0, 1, true);
  assert.equal(asked, 2);
});

test("a list whose place the leader does not know, begins anew", async (t) => {
  const type = freshType();
  const ids = await submit(type, 250);
  const jobs = listing(t, { type });
  await jobs.reload();
  const { list } = jobs.state.get();
  jobs.state.set({ list: { ...list, next: "of-another-leader.5" } });
  await jobs.more();
  assert.deepEqual(rowsOf(jobs).map(({ id }) => id), ids.slice(0, 200));
  assert.equal(jobs.state.get().error, undefined);
});

test("a list that the broker refuses, says why, and has no rows", async (t) => {
  const jobs = listing(t, { status: "sleeping" });
  await jobs.reload();
  const { error, list, loading } = jobs.state.get();
  assert.deepEqual([error.status, list, loading], [400, undefined, false]);
});

test("a list that is closed, asks for nothing more", async (t) => {
  const jobs = listing(t, { type: freshType() });
  const reading = jobs.reload();
  jobs.close();
  await reading;
  assert.equal(jobs.state.get().list, undefined);
  await jobs.reload();
  assert.equal(jobs.state.get().list, undefined);
});

test("a job that one looks at, when it ends, is seen to end, and is not asked for again", async (t) => {
  const type = freshType();
  const [id] = await submit(type, 1);
  let asked = 0;
  const counting = { ...api, exact: (...request) => ((asked += 1), api.exact(...request)) };
  const watch = new JobWatch({ api: counting, id });
  t.after(() => watch.close());
  await until(watch.state, ({ job }) => job?.status === "unclaimed", "it waits");
  await api.del(`v1/jobs/${id}`);
  await until(watch.state, ({ job }) => job.status === "cancelled", "it is cancelled");
  const before = asked;
  watch.look();
  await until(watch.state, () => asked === before + 1, "it is looked at when that is asked for");
});

test("a job that is not there, is said not to be", async (t) => {
  const watch = new JobWatch({ api, id: "no-such-job" });
  t.after(() => watch.close());
  const { error, job } = await until(watch.state, (state) => state.error !== undefined, "it is missing");
  assert.deepEqual([error.status, job], [404, undefined]);
});
