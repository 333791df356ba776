import assert from "node:assert/strict";
import { test } from "node:test";

import { groupsOf, written } from "../../../src/osqueue/server/dashboard/assets/data/settings.js";

const SETTINGS = [
  { name: "storage", value: "file:queue", env: "OSQUEUE_STORAGE" },
  { name: "server.host", value: "127.0.0.1" },
  { name: "server.grpc.calls_max", value: 25_000, help: "Most calls at a time." },
  { name: "advertise", value: null },
];

function names(groups) {
  return groups.map(({ name, settings }) => [name, settings.map(({ short }) => short)]);
}

test("settings are grouped by the first part of their name", () => {
  assert.deepEqual(names(groupsOf(SETTINGS)), [["general", ["storage", "advertise"]], ["server", ["host", "grpc.calls_max"]]]);
});

test("a search looks at name, value, variable and explanation, and leaves no empty group", () => {
  assert.deepEqual(names(groupsOf(SETTINGS, " GRPC ")), [["server", ["grpc.calls_max"]]]);
  assert.deepEqual(names(groupsOf(SETTINGS, "osqueue_")), [["general", ["storage"]]]);
  assert.deepEqual(names(groupsOf(SETTINGS, "most calls")), [["server", ["grpc.calls_max"]]]);
  assert.deepEqual(names(groupsOf(SETTINGS, "127.0")), [["server", ["host"]]]);
  assert.deepEqual(groupsOf(SETTINGS, "nowhere"), []);
});

test("a value is written as it would be set", () => {
  assert.deepEqual([null, "a", 5, true, ["x"]].map(written), ["not set", "a", "5", "true", '["x"]']);
});
