import assert from "node:assert/strict";
import { test } from "node:test";

import { rowsInSight } from "../../../src/osqueue/server/dashboard/assets/data/sight.js";

const TABLE = { height: 40, sight: 800, length: 100_000 };

test("a short table is drawn whole, wherever it stands", () => {
  for (const top of [-9e6, 0, 9e6]) assert.deepEqual(rowsInSight({ ...TABLE, top, length: 60 }), { start: 0, end: 60 });
});

test("of a long one only the rows in sight are drawn, and a few around them", () => {
  const { start, end } = rowsInSight({ ...TABLE, top: -40 * 50_000 });
  assert(start < 50_000 && start >= 50_000 - 10);
  assert(end > 50_020 && end <= 50_030);
});

test("above its beginning and past its end there are rows, too", () => {
  assert.deepEqual(rowsInSight({ ...TABLE, top: 9_000 }), { start: 0, end: 36 });
  assert.deepEqual(rowsInSight({ ...TABLE, top: -9e9 }), { start: 99_964, end: 100_000 });
});

test("an empty table has no rows", () => {
  assert.deepEqual(rowsInSight({ ...TABLE, top: 0, length: 0 }), { start: 0, end: 0 });
});
