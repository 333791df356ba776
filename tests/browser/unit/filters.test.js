import assert from "node:assert/strict";
import { test } from "node:test";

import { ANY, actionsOn, condition, describe, filterOf, hashOf, isNarrow, pageRequest, sameFilter } from "../../../src/osqueue/server/dashboard/assets/data/filters.js";

test("a filter, when it is written to an address and read back, is the same", () => {
  const filters = [
    ANY,
    { status: "dead", type: "email:send", text: "time out & more?", order: "oldest" },
    { status: "ended", type: "", text: "50 %", order: "newest" },
    { status: "", type: " spaced # type", text: "", order: "newest" },
  ];
  for (const filter of filters) {
    const query = new URLSearchParams(hashOf(filter).split("?")[1] ?? "");
    assert.deepEqual(filterOf(query), filter);
  }
});

test("an address, when all is as usual, says nothing", () => {
  assert.equal(hashOf(ANY), "#/jobs");
  assert.equal(hashOf({ ...ANY, status: "dead" }), "#/jobs?status=dead");
});

test("what makes no sense in an address, when it is read, is as if it were not there", () => {
  assert.deepEqual(filterOf({ status: "<script>", type: 5, text: "  x ", order: "sideways", other: "y" }), { ...ANY, text: "x" });
  assert.deepEqual(filterOf(undefined), ANY);
  assert.equal(filterOf({ text: "t".repeat(300) }).text.length, 200);
  assert.equal(filterOf({ status: "__proto__" }).status, "");
});

test("a page, when ended jobs are wanted, is asked of their own listing, without an order", () => {
  assert.deepEqual(pageRequest({ ...ANY, status: "ended", text: "x" }, { limit: 5 }), {
    path: "v1/ended",
    query: { text: "x", limit: 5, payloads: false },
  });
  assert.deepEqual(pageRequest({ ...ANY, status: "expired" }, { cursor: "c", limit: 5 }), {
    path: "v1/ended",
    query: { status: "expired", cursor: "c", limit: 5, payloads: false },
  });
});

test("a page, when queued jobs are wanted, is asked for with filter, order and cursor", () => {
  const filter = { status: "ready", type: "a", text: "", order: "oldest" };
  assert.deepEqual(pageRequest(filter, { cursor: "7.3", limit: 9 }), {
    path: "v1/jobs",
    query: { status: "ready", type: "a", limit: 9, payloads: false, cursor: "7.3", order: "oldest" },
  });
});

test("a condition, when nothing is filtered, is empty: the whole queue", () => {
  assert.deepEqual(condition(ANY), {});
  assert.equal(isNarrow(ANY), false);
  assert.equal(isNarrow({ ...ANY, type: "t" }), true);
  assert.equal(isNarrow({ ...ANY, order: "oldest" }), false);
});

test("actions, by what a filter selects, are those that can do something there", () => {
  assert.deepEqual(actionsOn({ ...ANY, status: "completed" }), []);
  assert.deepEqual(actionsOn({ ...ANY, status: "dead" }), ["retry", "cancel"]);
  assert.deepEqual(actionsOn({ ...ANY, status: "in_progress" }), ["cancel"]);
  assert.ok(actionsOn(ANY).includes("setPriority"));
});

test("a filter in words, says each of its parts", () => {
  assert.equal(describe(ANY), "jobs");
  assert.equal(describe({ ...ANY, status: "dead", type: "a:b", text: "time" }), "dead letters of type a:b with “time”");
});

test("two filters, when they say the same, are the same", () => {
  assert.ok(sameFilter(filterOf({ status: "dead" }), filterOf(new URLSearchParams("status=dead&order=newest"))));
  assert.ok(!sameFilter(ANY, { ...ANY, type: "x" }));
});

test("jobs that wait for others are a filter of their own, and can be cancelled and moved", () => {
  const filter = filterOf({ status: "waiting" });
  assert.equal(filter.status, "waiting");
  assert.deepEqual(pageRequest(filter, { limit: 5 }), { path: "v1/jobs", query: { status: "waiting", limit: 5, payloads: false, order: "newest" } });
  assert.deepEqual(actionsOn(filter), ["cancel", "setPriority"]);
  assert.equal(describe(filter), "jobs that wait for others");
});
