import assert from "node:assert/strict";
import { test } from "node:test";

import { Producer } from "../../../src/osqueue/server/dashboard/assets/data/producer.js";
import { api, freshType, losing, until } from "./broker.js";

const jobsOf = async (type) => (await api.get("v1/jobs", { type })).jobs;

test("a job, when it is submitted, is there under the id that it was given", async () => {
  const producer = new Producer({ api });
  const type = freshType();
  const id = await producer.submit({ type, payload: { a: 1 } });
  assert.deepEqual(await jobsOf(type).then((jobs) => jobs.map((job) => [job.id, job.payload])), [[id, { a: 1 }]]);
  assert.deepEqual(producer.state.get().recent.map((job) => job.id), [id]);
});

test("a series, goes on until it is stopped, and every job that it counts is there", async (t) => {
  const producer = new Producer({ api });
  t.after(() => producer.stop());
  const type = freshType();
  producer.start(() => ({ type, payload: null }), 20);
  await until(producer.state, ({ submitted }) => submitted >= 15, "fifteen are submitted");
  await producer.stop();
  const { submitted, series, recent } = producer.state.get();
  assert.equal(series, 0);
  assert.equal(recent.length, 12);
  assert.equal((await jobsOf(type)).length, submitted);
});

test("jobs whose answers are lost, are sent again under their ids, and are there once", async (t) => {
  const requests = losing(/jobs$/, 3);
  const producer = new Producer({ api: requests });
  t.after(() => producer.stop());
  const type = freshType();
  producer.start(() => ({ type, payload: null }), 20);
  await until(producer.state, ({ submitted }) => submitted >= 8 && producer.again.length === 0, "all are submitted");
  await producer.stop();
  assert.equal(requests.lost.length, 3);
  assert.equal((await jobsOf(type)).length, producer.state.get().submitted);
});

test("a series that the broker refuses, ends and says why", async (t) => {
  const producer = new Producer({ api });
  t.after(() => producer.stop());
  producer.start(() => ({ type: "t".repeat(10_000), payload: null }), 20);
  const { error } = await until(producer.state, ({ series }) => series === 0, "it has ended");
  assert.equal(error.status, 400);
  await assert.rejects(producer.submit({ type: 5 }), { status: 400 });
});

test("what has become of the last jobs, when it is looked at, is known", async () => {
  const producer = new Producer({ api });
  const type = freshType();
  const id = await producer.submit({ type, payload: null });
  await producer.submit({ type, payload: null, runAt: Date.now() + 3_600_000 });
  await api.del(`v1/jobs/${id}`);
  await producer.refresh();
  assert.deepEqual(producer.state.get().recent.map(({ status }) => status), ["unclaimed", "cancelled"]);
});
