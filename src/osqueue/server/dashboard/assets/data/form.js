// A form from a JSON Schema: a tree of fields, and the value that it starts from. Pure.
//
// A field is `{kind, label, help, optional, nullable, preset}`; `kind` is text, number, boolean,
// choice (`choices`), list (`item`), object (`fields`: `[{name, field}]`), or json: what a form
// can't show well is written as JSON.

import { isNumber } from "./exact.js";
import { alternatives, isObject, resolved } from "./schema.js";

const DEPTH_MAX = 5;
const FIELDS_MAX = 100;

/** The form of what a schema describes; of none, a field for any JSON. */
export function formOf(schema) {
  return isObject(schema) ? fieldOf(schema, schema, { depth: 0 }) : plain("json", {}, {});
}

/** The least that the form makes: what is required, as empty as may be. */
export function initialOf(field) {
  if (field.preset !== undefined) return field.preset;
  if (field.nullable) return null;
  return EMPTY[field.kind](field);
}

const EMPTY = {
  text: () => "",
  number: ({ min }) => Math.max(0, min ?? 0),
  boolean: () => false,
  choice: ({ choices }) => choices[0],
  list: () => [],
  json: () => ({}),
  object: ({ fields }) => {
    const required = fields.filter(({ field }) => !field.optional);
    return Object.fromEntries(required.map(({ name, field }) => [name, initialOf(field)]));
  },
};

/**
 * An object with one field set; left out when the value is undefined. Fields that the form does not
 * know stay, and the order is that of the form.
 */
export function withField(value, form, name, item) {
  const said = new Map(isObject(value) ? Object.entries(value) : []);
  said.set(name, item);
  const order = form.fields.map((each) => each.name);
  const names = [...order, ...[...said.keys()].filter((each) => !order.includes(each))];
  const set = names.filter((each) => said.get(each) !== undefined);
  return Object.fromEntries(set.map((each) => [each, said.get(each)]));
}

/** Whether the form can show a value: else it is to be edited as JSON. */
export function canShow(field, value) {
  if (value === undefined || field.kind === "json") return true;
  if (value === null) return field.nullable;
  if (field.kind === "list") return Array.isArray(value) && value.every((each) => canShow(field.item, each));
  if (field.kind !== "object") return SCALARS[field.kind]?.(value) ?? true;
  return isObject(value) && field.fields.every(({ name, field: each }) => canShow(each, value[name]));
}

const SCALARS = {
  text: (value) => typeof value === "string",
  number: isNumber,
  boolean: (value) => typeof value === "boolean",
};

function fieldOf(given, root, { depth, name = "", optional = false }) {
  const [schema, nullable] = withoutNull(resolved(given, root), root);
  const said = { name, optional, nullable };
  if ("const" in schema) return { ...plain("choice", schema, said), choices: [schema.const] };
  if (Array.isArray(schema.enum)) return choice(schema, said);
  if (depth > DEPTH_MAX) return plain("json", schema, said);
  return (KINDS[schema.type] ?? anything)(schema, said, root, depth);
}

const anything = (schema, said) => plain("json", schema, said);

const KINDS = {
  string: (schema, said) => ({ ...plain("text", schema, said), format: schema.format }),
  boolean: (schema, said) => plain("boolean", schema, said),
  number: (schema, said) => number(schema, said, false),
  integer: (schema, said) => number(schema, said, true),
  array: list,
  object,
};

function number(schema, said, whole) {
  const min = schema.minimum ?? schema.exclusiveMinimum;
  return { ...plain("number", schema, said), min, max: schema.maximum, whole };
}

function choice(schema, said) {
  const choices = schema.enum.filter((each) => each !== null);
  const nullable = said.nullable || choices.length < schema.enum.length;
  return { ...plain("choice", schema, { ...said, nullable }), choices };
}

function list(schema, said, root, depth) {
  if (!isObject(schema.items) || schema.prefixItems !== undefined) return plain("json", schema, said);
  const item = fieldOf(schema.items, root, { depth: depth + 1 });
  return { ...plain("list", schema, said), item };
}

function object(schema, said, root, depth) {
  const names = isObject(schema.properties) ? Object.keys(schema.properties) : [];
  const isOpen = isObject(schema.additionalProperties);
  if (names.length === 0 || names.length > FIELDS_MAX || isOpen) return plain("json", schema, said);
  const required = Array.isArray(schema.required) ? schema.required : [];
  const fields = names.map((name) => {
    const optional = !required.includes(name);
    const place = { depth: depth + 1, name, optional };
    return { name, field: fieldOf(schema.properties[name], root, place) };
  });
  return { ...plain("object", schema, said), fields };
}

function plain(kind, schema, { name = "", optional = false, nullable = false }) {
  const label = typeof schema.title === "string" ? schema.title : name;
  const help = typeof schema.description === "string" ? schema.description : "";
  return { kind, label, help, optional, nullable, preset: schema.default };
}

// The schema without its `null`, and whether it had one: `X | None`, in any of its spellings.
function withoutNull(schema, root) {
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((each) => each !== "null");
    const type = types.length === 1 ? types[0] : undefined;
    return [{ ...schema, type }, types.length < schema.type.length];
  }
  const parts = alternatives(schema);
  if (parts === undefined) return [schema, false];
  const rest = parts.filter((part) => resolved(part, root).type !== "null");
  const { anyOf: _any, oneOf: _one, ...beside } = schema;
  if (rest.length !== 1) return [{ ...beside, type: undefined }, rest.length < parts.length];
  return [{ ...resolved(rest[0], root), ...beside }, rest.length < parts.length];
}
