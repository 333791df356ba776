import assert from "node:assert/strict";
import { test } from "node:test";

import { NONE, absolute, ago, bytes, compact, duration, elapsed, number, plural } from "../../../src/osqueue/server/dashboard/assets/data/format.js";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test("a number is grouped, and a fraction keeps as many digits as it needs", () => {
  assert.equal(number(1234567, "en"), "1,234,567");
  assert.equal(number(0, "en"), "0");
  assert.equal(number(0.4237, "en"), "0.42");
  assert.equal(number(12.37, "en"), "12.4");
  assert.equal(number(1234.5, "en"), "1,235");
});

test("a figure that is not known is a dash, in every form", () => {
  for (const write of [number, compact, duration, bytes, absolute]) {
    for (const value of [null, undefined, NaN, Infinity, "7"]) assert.equal(write(value), NONE);
  }
  assert.equal(ago(undefined, 5), NONE);
});

test("a large count is short, a small one whole", () => {
  assert.equal(compact(9_999, "en"), "9,999");
  assert.equal(compact(12_345, "en"), "12.3K");
  assert.equal(compact(4_560_000, "en"), "4.56M");
});

test("a duration has at most two units", () => {
  const cases = [
    [0, "0ms"], [0.043, "0.043ms"], [3.14, "3.1ms"], [850.4, "850ms"], [1_000, "1s"], [1_250, "1.2s"], [9_999, "9.9s"],
    [12_900, "12s"], [MINUTE, "1m"], [3 * MINUTE + 20 * SECOND, "3m 20s"], [2 * HOUR + 5 * MINUTE, "2h 5m"],
    [HOUR - 1, "59m 59s"], [4 * DAY + 3 * HOUR, "4d 3h"], [-1_500, "-1.5s"],
  ];
  for (const [ms, written] of cases) assert.equal(duration(ms), written);
});

test("a time is told as how long ago, or how far ahead, it is", () => {
  const now = 1_000_000_000;
  const cases = [
    [now, "now"], [now - 400, "now"], [now - 12 * SECOND, "12s ago"], [now - 3 * MINUTE, "3m ago"],
    [now - 5 * HOUR, "5h ago"], [now - 9 * DAY, "9d ago"], [now + 90 * SECOND, "in 1m"],
  ];
  for (const [at, written] of cases) assert.equal(ago(at, now), written);
});

test("what goes on is told by how long it has", () => {
  assert.deepEqual([elapsed(0, 90 * SECOND), elapsed(5, 0), elapsed(undefined, 0)], ["1m", "0s", NONE]);
});

test("an absolute time is in the reader's own zone", () => {
  assert.equal(absolute(new Date(2026, 10, 2, 6, 4, 3).getTime()), "2026-11-02 06:04:03");
  assert.equal(absolute(9e15), NONE);
});

test("bytes are in the unit that leaves few digits", () => {
  const cases = [[0, "0 B"], [812, "812 B"], [1536, "1.5 KiB"], [10 * 1024, "10 KiB"], [64 * 2 ** 20, "64 MiB"], [3 * 2 ** 50, "3072 TiB"]];
  for (const [n, written] of cases) assert.equal(bytes(n), written);
});

test("one thing is told in the singular", () => {
  assert.equal(plural(1, "job"), "1 job");
  assert.equal(plural(0, "job"), "0 jobs");
  assert.equal(plural(2, "entry", "entries"), "2 entries");
});
