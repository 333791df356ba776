import assert from "node:assert/strict";
import { test } from "node:test";

import { draftOf, jobOf, troubles, withText, withValue } from "../../../src/osqueue/server/dashboard/assets/data/draft.js";
import { depthsOf } from "../../../src/osqueue/server/dashboard/assets/data/depths.js";
import { mergedGroups, searchOf, typesOf } from "../../../src/osqueue/server/dashboard/assets/data/groups.js";
import { uuid7 } from "../../../src/osqueue/server/dashboard/assets/data/ids.js";

const SCHEMA = { type: "object", properties: { to: { type: "string", minLength: 1 } }, required: ["to"] };
const AS_USUAL = { priority: "", delayS: "", maxAttempts: "", keepResult: false };

test("a draft, when its text is JSON, has that value, and else the last one, and can't be sent", () => {
  const draft = withText(draftOf(undefined), '{"a": 1}');
  assert.deepEqual([draft.value, troubles(draft)], [{ a: 1 }, []]);
  const broken = withText(draft, '{"a": ');
  assert.deepEqual(broken.value, { a: 1 });
  assert.match(troubles(broken)[0].message, /^not JSON: /);
  assert.deepEqual(troubles(withText(broken, "null")), []);
});

test("a draft of a type with a schema, begins as its form does and is held to it", () => {
  const draft = draftOf(SCHEMA);
  assert.deepEqual(draft.value, { to: "" });
  assert.deepEqual(troubles(draft), [{ path: "to", message: "is empty" }]);
  assert.deepEqual(troubles(withValue(draft, { to: "x" })), []);
  assert.equal(withValue(draft, { to: "x" }).text, '{\n  "to": "x"\n}');
});

test("a payload that no request can carry, is told before it is sent", () => {
  assert.match(troubles(withText(draftOf(undefined), JSON.stringify("é".repeat(600_000))))[0].message, /larger/);
});

test("a job, says only what is not as usual", () => {
  const draft = withText(draftOf(undefined), "[1]");
  assert.deepEqual(jobOf("", draft, AS_USUAL, 1_000), { payload: [1] });
  assert.deepEqual(jobOf("t", draft, { priority: "-5", delayS: "1.5", maxAttempts: "1", keepResult: true }, 1_000), {
    payload: [1], type: "t", priority: -5, runAt: 2_500, maxAttempts: 1, keepResult: true,
  });
  assert.deepEqual(jobOf("t", draft, { ...AS_USUAL, priority: "1e9", maxAttempts: "x", delayS: "-1" }, 0), { payload: [1], type: "t" });
});

test("an id, begins with its time and is a UUID of version 7", () => {
  const id = uuid7(0x0192_0000_0abc, (bytes) => bytes.fill(0xff));
  assert.equal(id, "01920000-0abc-7fff-bfff-ffffffffffff");
  const made = new Set(Array.from({ length: 1_000 }, () => uuid7()));
  assert.equal(made.size, 1_000);
});

test("groups, when they change while one looks, stay where they are", () => {
  const shown = [{ key: "a", count: 3 }, { key: "b", count: 2, types: { t: 2 }, jobIds: ["x"] }];
  const merged = mergedGroups(shown, [{ key: "c", count: 9 }, { key: "a", count: 1 }]);
  assert.deepEqual(merged.map(({ key, count }) => [key, count]), [["a", 1], ["b", 0], ["c", 9]]);
  assert.deepEqual([merged[1].types, merged[1].jobIds], [{}, []]);
});

test("what a group is searched for by, is what its message says in so many letters", () => {
  assert.equal(searchOf({ errorType: "E", message: "order # not found in # shops" }), "not found in");
  assert.equal(searchOf({ errorType: "KeyError", message: "#" }), "KeyError");
  assert.equal(searchOf({}), "");
  assert.deepEqual(typesOf({ types: { a: 1, b: 5 } }), [["b", 5], ["a", 1]]);
});

test("depths, are listed most first", () => {
  const rows = depthsOf({ a: { ready: 1 }, b: { ready: 2, inProgress: 3, dead: 1 }, "": { ready: 4 } });
  assert.deepEqual(rows.map(({ label, total }) => [label, total]), [["b", 6], ["untyped", 4], ["a", 1]]);
});
