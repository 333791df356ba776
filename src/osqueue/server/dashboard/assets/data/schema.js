// What a JSON Schema says of a value: a first check while one types. Pure.
//
// Schemas come from whoever may work on the queue. So nothing of one is run (a `pattern` can be made
// to take for ever), references are followed a bounded number of times, and what is not understood
// forbids nothing: the last word is the worker's.

import { Exact, isNumber } from "./exact.js";

const HOPS_MAX = 16;
const DEPTH_MAX = 24;
const PROBLEMS_MAX = 20;

/** What a schema stands for: with its `$ref` followed, what stands beside it kept. */
export function resolved(schema, root) {
  let found = schema;
  let beside = {};
  for (let hop = 0; hop < HOPS_MAX; hop += 1) {
    if (!isObject(found)) return { ...beside };
    if (typeof found.$ref !== "string") return { ...found, ...beside };
    const { $ref, ...rest } = found;
    beside = { ...rest, ...beside };
    found = pointedAt($ref, root);
  }
  return beside;
}

/** What is wrong with a value: `[{path, message}]`, empty when nothing is known to be. */
export function problemsOf(schema, value) {
  const problems = [];
  check({ root: schema, problems }, schema, value, "", 0);
  return problems.slice(0, PROBLEMS_MAX);
}

/** The parts of a schema between which a value chooses, or nothing. */
export function alternatives(schema) {
  const listed = schema.anyOf ?? schema.oneOf;
  return Array.isArray(listed) ? listed : undefined;
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Exact);
}

/** The name of a value's type, as JSON Schema says it. */
export function typeOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (isNumber(value)) return Number.isInteger(Number(value)) ? "integer" : "number";
  return typeof value;
}

function check(run, given, value, path, depth) {
  if (depth > DEPTH_MAX || run.problems.length >= PROBLEMS_MAX) return;
  const schema = resolved(given, run.root);
  const tell = (message) => run.problems.push({ path, message });
  if (!isOfType(schema.type, value)) {
    tell(`should be ${named(schema.type)}, not ${typeOf(value)}`);
    return;
  }
  checkChoices(run, schema, value, tell, depth);
  if (typeof value === "string") checkText(schema, value, tell);
  if (isNumber(value)) checkNumber(schema, value, tell);
  if (Array.isArray(value)) checkItems(run, schema, value, path, depth, tell);
  if (isObject(value)) checkFields(run, schema, value, path, depth, tell);
  for (const part of listOf(schema.allOf)) check(run, part, value, path, depth + 1);
}

function checkChoices(run, schema, value, tell, depth) {
  if (Array.isArray(schema.enum) && !schema.enum.some((each) => same(each, value))) {
    tell(`should be one of ${schema.enum.map((each) => JSON.stringify(each)).join(", ")}`);
  }
  if ("const" in schema && !same(schema.const, value)) {
    tell(`should be ${JSON.stringify(schema.const)}`);
  }
  const parts = alternatives(schema);
  if (parts === undefined || parts.some((part) => fits(run, part, value, depth))) return;
  const types = parts.map((part) => named(resolved(part, run.root).type));
  tell(`fits none of what it may be: ${[...new Set(types)].join(", ")}`);
}

function fits(run, part, value, depth) {
  const problems = [];
  check({ root: run.root, problems }, part, value, "", depth + 1);
  return problems.length === 0;
}

function checkText({ minLength, maxLength }, value, tell) {
  const chars = [...value].length;
  if (chars < minLength) tell(minLength === 1 ? "is empty" : `needs ${minLength} characters`);
  if (chars > maxLength) tell(`has ${chars} characters; ${maxLength} are the most`);
}

function checkNumber(schema, value, tell) {
  if (value < schema.minimum) tell(`should be at least ${schema.minimum}`);
  if (value > schema.maximum) tell(`should be at most ${schema.maximum}`);
  if (value <= schema.exclusiveMinimum) tell(`should be more than ${schema.exclusiveMinimum}`);
  if (value >= schema.exclusiveMaximum) tell(`should be less than ${schema.exclusiveMaximum}`);
  const step = schema.multipleOf;
  if (Number.isInteger(step) && step > 0 && value % step !== 0 && !(value instanceof Exact)) tell(`should be a multiple of ${step}`);
}

function checkItems(run, schema, value, path, depth, tell) {
  if (value.length < schema.minItems) tell(`needs ${schema.minItems} items`);
  if (value.length > schema.maxItems) tell(`has ${value.length} items; ${schema.maxItems} are the most`);
  const first = listOf(schema.prefixItems);
  value.forEach((item, place) => {
    const part = first[place] ?? schema.items;
    if (isObject(part)) check(run, part, item, `${path}[${place}]`, depth + 1);
  });
}

function checkFields(run, schema, value, path, depth, tell) {
  for (const name of listOf(schema.required)) {
    if (!Object.hasOwn(value, name)) run.problems.push({ path: below(path, name), message: "is missing" });
  }
  const known = isObject(schema.properties) ? schema.properties : {};
  for (const [name, item] of Object.entries(value)) {
    const part = Object.hasOwn(known, name) ? known[name] : schema.additionalProperties;
    if (part === false) tell(`has no field ${JSON.stringify(name)}`);
    if (isObject(part)) check(run, part, item, below(path, name), depth + 1);
  }
}

function below(path, name) {
  return path === "" ? name : `${path}.${name}`;
}

function isOfType(type, value) {
  const types = listOf(type);
  if (types.length === 0) return true;
  const own = typeOf(value);
  return types.includes(own) || (own === "integer" && types.includes("number"));
}

function named(type) {
  const types = listOf(type);
  return types.length === 0 ? "any value" : types.join(" or ");
}

function listOf(value) {
  if (Array.isArray(value)) return value;
  return value === undefined || value === null ? [] : [value];
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

// What `#/$defs/Order` points at in the whole schema.
function pointedAt(reference, root) {
  if (!reference.startsWith("#")) return undefined;
  let found = root;
  for (const step of reference.slice(1).split("/").slice(1)) {
    const name = decoded(step).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) return undefined;
    found = found[name];
  }
  return found;
}

function decoded(step) {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}
