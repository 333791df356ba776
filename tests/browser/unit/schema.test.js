import assert from "node:assert/strict";
import { test } from "node:test";

import { problemsOf, resolved } from "../../../src/osqueue/server/dashboard/assets/data/schema.js";

const texts = (schema, value) => problemsOf(schema, value).map(({ path, message }) => `${path}: ${message}`);

// As msgspec writes it: the struct behind a reference.
const ORDER = {
  $ref: "#/$defs/Order",
  $defs: {
    Order: {
      title: "Order",
      type: "object",
      properties: {
        id: { type: "integer", minimum: 1 },
        note: { anyOf: [{ type: "string", maxLength: 5 }, { type: "null" }], default: null },
        lines: { type: "array", items: { $ref: "#/$defs/Line" } },
      },
      required: ["id", "lines"],
    },
    Line: { type: "object", properties: { sku: { type: "string", minLength: 1 } }, required: ["sku"], additionalProperties: false },
  },
};

test("a value, when it is as the schema says, has no problems", () => {
  assert.deepEqual(problemsOf(ORDER, { id: 1, lines: [{ sku: "a" }], note: null }), []);
  assert.deepEqual(problemsOf(ORDER, { id: 1, lines: [], note: "short" }), []);
});

test("what is wrong, is told by its path", () => {
  assert.deepEqual(texts(ORDER, { id: 0, lines: [{ sku: "" }, { sku: "b", more: 1 }, {}] }), [
    "id: should be at least 1",
    "lines[0].sku: is empty",
    'lines[1]: has no field "more"',
    "lines[2].sku: is missing",
  ]);
  assert.deepEqual(texts(ORDER, []), [": should be object, not array"]);
  assert.deepEqual(texts(ORDER, { id: 1.5, lines: [] }), ["id: should be integer, not number"]);
  assert.deepEqual(texts(ORDER, { id: 1, lines: [], note: "too long" }), ["note: fits none of what it may be: string, null"]);
});

test("choices, bounds and steps, when they are missed, are told", () => {
  assert.deepEqual(texts({ enum: ["a", "b"] }, "c"), [': should be one of "a", "b"']);
  assert.deepEqual(texts({ const: 3 }, 4), [": should be 3"]);
  assert.deepEqual(texts({ type: "number", exclusiveMaximum: 1 }, 1), [": should be less than 1"]);
  assert.deepEqual(texts({ type: "integer", multipleOf: 5 }, 7), [": should be a multiple of 5"]);
  assert.deepEqual(texts({ type: "array", maxItems: 1 }, [1, 2]), [": has 2 items; 1 are the most"]);
  assert.deepEqual(texts({ type: ["string", "null"] }, 1), [": should be string or null, not integer"]);
  assert.deepEqual(texts({ allOf: [{ minLength: 3 }] }, "ab"), [": needs 3 characters"]);
});

test("a schema that refers to itself, when a value is looked at, comes to an end", () => {
  const endless = { $ref: "#/$defs/A", $defs: { A: { $ref: "#/$defs/B" }, B: { $ref: "#/$defs/A" } } };
  assert.deepEqual(problemsOf(endless, { any: 1 }), []);
  const tree = { $ref: "#/$defs/T", $defs: { T: { type: "object", properties: { next: { $ref: "#/$defs/T" } } } } };
  assert.deepEqual(texts(tree, { next: { next: { next: 5 } } }), ["next.next.next: should be object, not integer"]);
});

test("a pattern that could take for ever, is not run", () => {
  assert.deepEqual(problemsOf({ type: "string", pattern: "^(a+)+$" }, `${"a".repeat(40)}!`), []);
});

test("schemas that make no sense, forbid nothing", () => {
  const odd = [true, 5, null, "x", [], { type: 5 }, { properties: 3, required: "x" }, { $ref: "#/nowhere" }, { $ref: "#/%E0%A4%A" }, { anyOf: 1 }];
  for (const schema of odd) {
    assert.doesNotThrow(() => problemsOf(schema, { x: 1 }), `schema ${JSON.stringify(schema)}`);
  }
  assert.deepEqual(problemsOf({ $ref: "https://elsewhere/schema" }, 1), []);
});

test("fields named like those of every object, are fields like others", () => {
  const schema = { type: "object", properties: { a: { type: "string" } }, required: ["constructor"] };
  assert.deepEqual(texts(schema, { a: "x" }), ["constructor: is missing"]);
  assert.deepEqual(texts({ type: "object", properties: {}, additionalProperties: false }, { constructor: 1 }), [': has no field "constructor"']);
});

test("problems, when there are thousands, are told up to a number", () => {
  assert.equal(problemsOf({ items: { type: "string" } }, Array.from({ length: 5_000 }, () => 1)).length, 20);
});

test("what stands beside a reference, counts", () => {
  assert.deepEqual(resolved({ $ref: "#/$defs/A", default: 1 }, { $defs: { A: { type: "integer", default: 2 } } }), { type: "integer", default: 1 });
});
