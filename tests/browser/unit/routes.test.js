import assert from "node:assert/strict";
import { test } from "node:test";

import { href, parse } from "../../../src/osqueue/server/dashboard/assets/data/routes.js";

test("an address and what it says are each other's inverse", () => {
  const path = ["jobs", "a/b?c#d%é <b>"];
  const query = { type: "email:send", text: "a&b=c ?#" };
  assert.deepEqual(parse(href(path, query)), { path, query });
});

test("the first page has the empty path, however it is written", () => {
  for (const hash of ["", "#", "#/", "/"]) assert.deepEqual(parse(hash), { path: [], query: {} });
  assert.equal(href(""), "#/");
});

test("fields that say nothing are left out of the address", () => {
  assert.equal(href("jobs", { type: "", status: undefined, text: null, limit: 0 }), "#/jobs?limit=0");
});

test("a path that is not well-formed is taken as it is", () => {
  assert.deepEqual(parse("#/jobs/%E0%A4%A").path, ["jobs", "%E0%A4%A"]);
});
