import assert from "node:assert/strict";
import { test } from "node:test";

import { canShow, formOf, initialOf, withField } from "../../../src/osqueue/server/dashboard/assets/data/form.js";
import { problemsOf } from "../../../src/osqueue/server/dashboard/assets/data/schema.js";

const SCHEMA = {
  type: "object",
  properties: {
    to: { type: "string", title: "To", description: "an address", format: "email" },
    copies: { type: "integer", minimum: 1, default: 1 },
    ratio: { type: "number" },
    urgent: { type: "boolean" },
    kind: { enum: ["plain", "html"] },
    note: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
    tags: { type: "array", items: { type: "string" } },
    from: { $ref: "#/$defs/Person" },
    extra: { type: "object", additionalProperties: { type: "string" } },
    either: { anyOf: [{ type: "string" }, { type: "integer" }] },
  },
  required: ["to", "ratio", "urgent", "kind", "tags", "from", "extra", "either"],
  $defs: { Person: { type: "object", properties: { name: { type: "string" } }, required: ["name"] } },
};

const fieldsOf = (form) => Object.fromEntries(form.fields.map(({ name, field }) => [name, field]));

test("a form, has a field of a fitting kind for each property", () => {
  const fields = fieldsOf(formOf(SCHEMA));
  const kinds = Object.fromEntries(Object.entries(fields).map(([name, { kind }]) => [name, kind]));
  assert.deepEqual(kinds, {
    to: "text", copies: "number", ratio: "number", urgent: "boolean", kind: "choice", note: "text",
    tags: "list", from: "object", extra: "json", either: "json",
  });
  assert.deepEqual([fields.to.label, fields.to.help, fields.to.format, fields.to.optional], ["To", "an address", "email", false]);
  assert.deepEqual([fields.copies.optional, fields.copies.whole, fields.copies.min, fields.copies.preset], [true, true, 1, 1]);
  assert.deepEqual([fields.note.nullable, fields.note.optional], [true, true]);
});

test("what a form begins with, holds what is required, and fits the schema but for what only a reader knows", () => {
  const value = initialOf(formOf(SCHEMA));
  assert.deepEqual(value, { to: "", ratio: 0, urgent: false, kind: "plain", tags: [], from: { name: "" }, extra: {}, either: {} });
  assert.deepEqual(problemsOf(SCHEMA, { ...value, either: 1 }), []);
});

test("a field, when it is set, keeps the order of the form and what the form does not know", () => {
  const form = formOf(SCHEMA);
  const value = withField(withField({ odd: 1, urgent: true }, form, "to", "x"), form, "copies", 2);
  assert.equal(JSON.stringify(value), '{"to":"x","copies":2,"urgent":true,"odd":1}');
  assert.equal(JSON.stringify(withField(value, form, "to", undefined)), '{"copies":2,"urgent":true,"odd":1}');
});

test("a property named __proto__, when it is set, is a field and nothing else", () => {
  const schema = { type: "object", properties: JSON.parse('{"__proto__": {"type": "string"}, "a": {"type": "string"}}') };
  const form = formOf(schema);
  const value = withField({}, form, "__proto__", "x");
  assert.equal(JSON.stringify(value), '{"__proto__":"x"}');
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
});

test("a value that the form can't show, is known", () => {
  const form = formOf(SCHEMA);
  assert.ok(canShow(form, initialOf(form)));
  assert.ok(!canShow(form, { ...initialOf(form), to: 5 }));
  assert.ok(!canShow(form, { ...initialOf(form), tags: [1] }));
  assert.ok(!canShow(form, [1]));
  assert.ok(!canShow(form, null));
});

test("a schema that contains itself, when a form is made, ends as JSON", () => {
  const tree = { $ref: "#/$defs/T", $defs: { T: { type: "object", properties: { next: { $ref: "#/$defs/T" } }, required: ["next"] } } };
  let field = formOf(tree);
  let depth = 0;
  for (; field.kind === "object"; depth += 1) field = field.fields[0].field;
  assert.equal(field.kind, "json");
  assert.ok(depth < 10);
  assert.doesNotThrow(() => JSON.stringify(initialOf(formOf(tree))));
});

test("without a schema, or with one that is none, a form is a field for JSON", () => {
  for (const schema of [undefined, true, 5, [], {}, { type: "object" }]) assert.equal(formOf(schema).kind, "json");
});

test("an optional of pydantic, a type list of null, and an enum with null, are nullable", () => {
  const nullable = (schema) => formOf({ type: "object", properties: { a: schema } }).fields[0].field;
  assert.deepEqual([nullable({ type: ["integer", "null"] }).kind, nullable({ type: ["integer", "null"] }).nullable], ["number", true]);
  const choice = nullable({ enum: ["a", null] });
  assert.deepEqual([choice.kind, choice.nullable, choice.choices], ["choice", true, ["a"]]);
});
