import assert from "node:assert/strict";
import { test } from "node:test";

import { actionsOn, allSchedules, hasNews, inOrder, pathOf, standing } from "../../../src/osqueue/server/dashboard/assets/data/schedules.js";

test("all pages are asked for, each after the one before", async () => {
  const pages = { undefined: { schedules: [{ name: "a" }, { name: "b" }], nextCursor: "b" }, b: { schedules: [{ name: "c" }] } };
  const asked = [];
  const found = await allSchedules(async ({ cursor }) => {
    asked.push(cursor);
    return pages[cursor];
  });
  assert.deepEqual(found.map(({ name }) => name), ["a", "b", "c"]);
  assert.deepEqual(asked, [undefined, "b"]);
});

test("a broker whose pages never end is given up", async () => {
  const found = await allSchedules(async () => ({ schedules: [{ name: "a" }], nextCursor: "a" }));
  assert.equal(found.length, 20);
});

test("what comes next is first, and what does not come last", () => {
  const schedules = [{ name: "z" }, { name: "b", nextAt: 7 }, { name: "a", nextAt: 7 }, { name: "c", nextAt: 5 }, { name: "y" }];
  assert.deepEqual(inOrder(schedules).map(({ name }) => name), ["c", "a", "b", "y", "z"]);
  assert.equal(schedules[0].name, "z");
});

test("there is news once the time of one has come", () => {
  assert.equal(hasNews(undefined, 10_000), false);
  assert.equal(hasNews([{ name: "a" }, { name: "b", nextAt: 9_900 }], 10_000), false);
  assert.equal(hasNews([{ name: "a" }, { name: "b", nextAt: 9_700 }], 10_000), true);
});

test("one is active, paused, or over", () => {
  assert.deepEqual(standing({ nextAt: 5 }), { kind: "ok", word: "active" });
  assert.deepEqual(standing({ paused: true }), { kind: "warn", word: "paused" });
  assert.deepEqual(standing({}), { kind: "plain", word: "over" });
});

test("one that is paused is resumed, any other paused", () => {
  assert.deepEqual(actionsOn({ nextAt: 5 }), ["run", "pause", "remove"]);
  assert.deepEqual(actionsOn({ paused: true }), ["run", "resume", "remove"]);
});

test("a name stays one part of its path, whatever it is", () => {
  assert.equal(pathOf("nightly"), "v1/schedules/nightly");
  assert.equal(pathOf("a/b?c", "run"), "v1/schedules/a%2Fb%3Fc/run");
});
