import assert from "node:assert/strict";
import { test } from "node:test";

import { allows, placeOf, placesFor, rolesFor } from "../../../src/osqueue/server/dashboard/assets/data/places.js";

test("one sees the pages that one of the roles allows", () => {
  const names = (roles) => placesFor(roles).map(({ name }) => name);
  assert.deepEqual(names(["observe"]), ["overview", "jobs", "dead", "queue", "schedules"]);
  assert.deepEqual(names(["observe", "work"]), ["overview", "jobs", "dead", "queue", "schedules", "playground"]);
  assert.deepEqual(names(["observe", "admin"]), ["overview", "jobs", "dead", "queue", "schedules", "state", "settings"]);
});

test("nobody's roles allow only what needs none", () => {
  assert.equal(allows(["admin"], undefined), false);
  assert.equal(allows(rolesFor("settings"), ["observe"]), false);
  assert.equal(allows(rolesFor("overview"), undefined), true);
  assert.equal(allows(rolesFor("constructor"), []), true);
});

test("a view belongs to its page, and settings alone tell of a broker rather than of its queue", () => {
  assert.equal(placeOf("job").label, "Jobs");
  assert.equal(placeOf("login"), undefined);
  const own = placesFor(["produce", "admin"]).filter((place) => place.own);
  assert.deepEqual(own.map(({ name }) => name), ["settings"]);
});
