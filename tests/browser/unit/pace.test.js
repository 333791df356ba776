import assert from "node:assert/strict";
import { test } from "node:test";

import { paced } from "../../../src/osqueue/server/dashboard/assets/data/pace.js";

function world() {
  const state = { now: 0, timers: [], told: [] };
  const pace = paced((value) => state.told.push([state.now, value]), 500, {
    clock: () => state.now,
    timers: {
      setTimeout: (fn, ms) => state.timers.push({ fn, at: state.now + ms }),
      clearTimeout: (id) => id && (state.timers[id - 1].fn = () => {}),
    },
  });
  const pass = (until) => {
    for (const timer of state.timers.filter(({ at, done }) => at <= until && !done)) {
      state.now = timer.at;
      timer.done = true;
      timer.fn();
    }
    state.now = until;
  };
  return { state, pace, pass };
}

test("the first is told at once, the newest of the next when its time has come", () => {
  const { state, pace, pass } = world();
  pace.put("a");
  pass(250);
  pace.put("b");
  pass(400);
  pace.put("c");
  pass(2_000);
  pace.put("d");
  assert.deepEqual(state.told, [[0, "a"], [500, "c"], [2_000, "d"]]);
});

test("what waits is forgotten when it is cancelled, and the next is told as ever", () => {
  const { state, pace, pass } = world();
  pace.put("a");
  pace.put("b");
  pace.cancel();
  pass(600);
  pace.put("c");
  assert.deepEqual(state.told, [[0, "a"], [600, "c"]]);
});

test("a clock that is set back holds nothing up", () => {
  const { state, pace, pass } = world();
  pass(9_000);
  pace.put("a");
  state.now = 0;
  pace.put("b");
  pass(500);
  assert.deepEqual(state.told, [[9_000, "a"], [500, "b"]]);
});
