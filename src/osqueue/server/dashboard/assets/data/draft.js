// A payload as it is being written: as text, and as the value of that text while it is JSON. Pure.

import { parse, stringify } from "./exact.js";
import { formOf, initialOf } from "./form.js";
import { problemsOf } from "./schema.js";

const BYTES_MAX = 1_000_000; // the broker takes 1 MiB of a request

/** `{text, value, error, schema, form}` for a type whose schema may be known. */
export function draftOf(schema) {
  const form = formOf(schema);
  const value = schema === undefined ? {} : initialOf(form);
  return { schema, form, value, text: written(value), error: undefined };
}

/** With another text; while that is no JSON, the value is the last one that it was. */
export function withText(draft, text) {
  try {
    return { ...draft, text, value: parse(text), error: undefined };
  } catch (error) {
    return { ...draft, text, error: `not JSON: ${error.message}` };
  }
}

/** With another value, as the form makes it. */
export function withValue(draft, value) {
  return { ...draft, value, text: written(value), error: undefined };
}

/** What keeps it from being sent: `[{path, message}]`. */
export function troubles(draft) {
  if (draft.error !== undefined) return [{ path: "", message: draft.error }];
  if (new TextEncoder().encode(draft.text).length > BYTES_MAX) return [{ path: "", message: "is larger than a request may be" }];
  return draft.schema === undefined ? [] : problemsOf(draft.schema, draft.value);
}

/** The job to submit: what is as usual is left out. `options` are as the form's fields have them. */
export function jobOf(type, draft, options, now) {
  const job = { payload: draft.value };
  if (type !== "") job.type = type;
  const priority = whole(options.priority);
  if (priority) job.priority = priority;
  const delay = Number(options.delayS);
  if (delay > 0) job.runAt = Math.round(now + delay * 1_000);
  const attempts = whole(options.maxAttempts);
  if (attempts !== undefined) job.maxAttempts = attempts;
  if (options.keepResult) job.keepResult = true;
  return job;
}

function written(value) {
  return value === undefined ? "" : stringify(value, 2);
}

function whole(text) {
  const value = String(text ?? "").trim();
  return /^-?\d+$/.test(value) ? Number(value) : undefined;
}
