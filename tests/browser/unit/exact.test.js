import assert from "node:assert/strict";
import { test } from "node:test";

import { Exact, isNumber, numberOf, parse, stringify } from "../../../src/osqueue/server/dashboard/assets/data/exact.js";
import { problemsOf, typeOf } from "../../../src/osqueue/server/dashboard/assets/data/schema.js";
import { canShow, formOf } from "../../../src/osqueue/server/dashboard/assets/data/form.js";
import { draftOf, jobOf, troubles, withText } from "../../../src/osqueue/server/dashboard/assets/data/draft.js";
import { makeApi } from "../../../src/osqueue/server/dashboard/assets/data/api.js";

const LARGE = "9007199254740993";
const ODD = ["9007199254740993", "-18446744073709551616", "1.0", "0.10", "1e400", "1E5", "-0", "123456789.123456789123"];

test("a number that JavaScript would round or write otherwise, is read and written by its digits", () => {
  for (const text of ODD) {
    const value = parse(`{"a":[${text}]}`);
    assert.equal(String(value.a[0]), text);
    assert.equal(stringify(value), `{"a":[${text}]}`);
  }
});

test("numbers that lose nothing, are plain numbers", () => {
  const text = '{"a":[0,1,-7,2.5,1e+21,9007199254740991]}';
  assert.deepEqual(parse(text), JSON.parse(text));
  assert.equal(stringify(parse(text)), text);
});

test("digits within a string or a name, are none of a number", () => {
  const text = `{"${LARGE}":"1.0, \\"${LARGE}\\\\","b":["\\\\",1.0]}`;
  const value = parse(text);
  assert.equal(value[LARGE], `1.0, "${LARGE}\\`);
  assert.equal(stringify(value), text);
});

test("a string that looks as if it had been marked, stays a string", () => {
  for (const mark of ["\u{e000}", "\\ue000", "\u{e000}\\uE000"]) {
    const value = parse(`["${mark}12","${mark}",{"${mark}5":1.0}]`);
    assert.equal(typeof value[0], "string");
    assert.equal(stringify(value), stringify(parse(stringify(value))));
    assert.equal(String(Object.values(value[2])[0]), "1.0");
  }
});

test("text that is no JSON, is refused as it is elsewhere", () => {
  for (const text of ["", "{", "01", "1.", `[${LARGE},]`]) assert.throws(() => parse(text), SyntaxError);
});

test("a name that means something to JavaScript, is one like any other", () => {
  const value = parse('{"__proto__":{"n":1.0},"constructor":2}');
  assert.deepEqual(Object.keys(value), ["__proto__", "constructor"]);
  assert.equal(stringify(value), '{"__proto__":{"n":1.0},"constructor":2}');
});

test("very long strings, are read like short ones", () => {
  const text = `["${"x".repeat(5e6)}","${'\\"'.repeat(1e6)}",1.0]`;
  assert.equal(stringify(parse(text)), text);
});

test("nothing at all, is written as nothing", () => {
  assert.equal(stringify(undefined), undefined);
  assert.equal(stringify({ a: undefined, b: [parse("1.0")] }, 1), '{\n "b": [\n  1.0\n ]\n}');
});

test("an exact number, counts as the nearest one", () => {
  assert.ok(parse("1e400") > 5);
  assert.equal(parse("1.0") + 1, 2);
  assert.ok(isNumber(parse(LARGE)) && isNumber(1) && !isNumber("1"));
  assert.equal(numberOf("5"), 5);
  assert.ok(numberOf(LARGE) instanceof Exact);
});

test("a schema, takes an exact number for what it is", () => {
  assert.deepEqual([LARGE, "1.0", "1.5e400"].map((text) => typeOf(parse(text))), ["integer", "integer", "number"]);
  const schema = { type: "object", properties: { n: { type: "integer", maximum: 10 } } };
  assert.deepEqual(problemsOf(schema, parse('{"n":10.0}')), []);
  assert.deepEqual(problemsOf(schema, parse(`{"n":${LARGE}}`)), [{ path: "n", message: "should be at most 10" }]);
  assert.ok(canShow(formOf(schema), parse(`{"n":${LARGE}}`)));
  assert.ok(!canShow(formOf(schema), parse("1.0")));
});

test("a job whose payload was written with large numbers, is sent with their digits", async () => {
  const draft = withText(draftOf(undefined), `{"id": ${LARGE}, "share": 1.0}`);
  assert.deepEqual(troubles(draft), []);
  let body;
  const fetch = async (_, request) => ({ ok: true, text: async () => ((body = request.body), "{}") });
  await makeApi({ base: () => "http://h/", fetch }).post("v1/jobs", jobOf("", draft, {}, 0));
  assert.equal(body, `{"payload":{"id":${LARGE},"share":1.0}}`);
});
