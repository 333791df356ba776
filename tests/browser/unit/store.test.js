import assert from "node:assert/strict";
import { test } from "node:test";

import { makeStore } from "../../../src/osqueue/server/dashboard/assets/data/store.js";

test("every subscriber is told of every state, and not after it left", () => {
  const store = makeStore({ a: 1, b: 1 });
  const told = [];
  const leave = store.subscribe((state) => told.push(state.a));
  store.set({ a: 2 });
  leave();
  store.set({ a: 3 });
  assert.deepEqual(told, [2]);
  assert.deepEqual(store.get(), { a: 3, b: 1 });
});

test("who leaves while all are told disturbs nobody", () => {
  const store = makeStore({ a: 1 });
  const told = [];
  const leave = store.subscribe(() => leave());
  store.subscribe((state) => told.push(state.a));
  store.set({ a: 2 });
  assert.deepEqual(told, [2]);
});

test("a state that somebody holds does not change", () => {
  const store = makeStore({ a: 1 });
  const before = store.get();
  store.set({ a: 2 });
  assert.equal(before.a, 1);
});
