import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, makeApi, urlOf } from "../../../src/osqueue/server/dashboard/assets/data/api.js";

const BASE = "https://host/tools/queue/";

/** An api whose broker answers `response`, and the requests that it has seen. */
function apiOf(response, options = {}) {
  const seen = [];
  const fetch = async (url, request) => {
    seen.push({ url, ...request });
    return typeof response === "function" ? response(request) : response;
  };
  return { api: makeApi({ base: () => BASE, fetch, ...options }), seen };
}

test("a path is under the page's own, with the fields that say something", async () => {
  const { api, seen } = apiOf(Response.json([]));
  await api.get("v1/jobs", { status: "dead", text: "", cursor: undefined, types: ["a b", "c"], limit: 0 });
  assert.equal(seen[0].url, `${BASE}v1/jobs?status=dead&types=a+b&types=c&limit=0`);
});

test("a path can't leave for another host", () => {
  assert.equal(new URL(urlOf(BASE, "v1/jobs/..%2F..")).host, "host");
});

test("an answer is its JSON, and undefined when it is empty", async () => {
  assert.deepEqual(await apiOf(Response.json({ a: 1 })).api.get("v1/x"), { a: 1 });
  assert.equal(await apiOf(new Response(null, { status: 204 })).api.post("v1/x", {}), undefined);
});

test("text is not read as JSON", async () => {
  assert.equal(await apiOf(new Response("{not json")).api.text("state"), "{not json");
});

test("whatever changes something bears the header that no other site can send", async () => {
  const { api, seen } = apiOf(() => new Response(null, { status: 204 }));
  await api.get("a");
  await api.post("a", { b: 1 });
  await api.put("a", { b: 1 });
  await api.del("a");
  assert.deepEqual(seen.map(({ method, headers }) => [method, headers["x-osqueue-ui"]]), [
    ["GET", undefined], ["POST", "1"], ["PUT", "1"], ["DELETE", "1"],
  ]);
  assert.equal(seen[1].body, '{"b":1}');
  assert.equal(seen[3].body, undefined);
  assert.equal(seen[3].headers["content-type"], undefined);
});

test("a refusal is an ApiError with its status, tag and message", async () => {
  const refusal = Response.json({ _tag: "JobNotFoundError", message: "no such job" }, { status: 404 });
  await assert.rejects(apiOf(refusal).api.get("v1/jobs/x"), (error) => {
    assert(error instanceof ApiError);
    assert.deepEqual([error.status, error.tag, error.message], [404, "JobNotFoundError", "no such job"]);
    return true;
  });
});

test("a refusal whose body says nothing is told by its status", async () => {
  const refusal = new Response("<html>", { status: 502, statusText: "Bad Gateway" });
  await assert.rejects(apiOf(refusal).api.get("x"), { status: 502, tag: "", message: "The broker answered 502 Bad Gateway" });
});

test("a redirect to the leader is not followed, but told", async () => {
  const { api, seen } = apiOf({ ok: false, type: "opaqueredirect", status: 0 });
  await assert.rejects(api.get("x"), { status: 307, tag: "BrokerLeadershipError" });
  assert.equal(seen[0].redirect, "manual");
});

test("no answer is an ApiError of status 0", async () => {
  const { api } = apiOf(() => Promise.reject(new TypeError("Failed to fetch")));
  await assert.rejects(api.get("x"), { status: 0, tag: "TransportConnectionError" });
});

test("an answer that is no JSON is said to be that", async () => {
  await assert.rejects(apiOf(new Response("<html>")).api.get("x"), { status: 0, tag: "BrokerProtocolError" });
});

test("an answer that does not come is given up", async () => {
  const never = ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  await assert.rejects(apiOf(never, { timeoutMs: 1 }).api.get("x"), { status: 0, tag: "TimeoutError" });
});

test("what the caller gives up is no failure of the broker", async () => {
  const never = ({ signal }) => new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
  const controller = new AbortController();
  const asked = apiOf(never).api.get("x", {}, { signal: controller.signal });
  controller.abort();
  await assert.rejects(asked, { name: "AbortError" });
  await assert.rejects(apiOf(never).api.get("x", {}, { signal: controller.signal }), { name: "AbortError" });
});

test("whoever is to log in is told so, once for each refusal, and for no other", async () => {
  let told = 0;
  const ask = (status) => apiOf(Response.json({ _tag: "X", message: "" }, { status }), { onUnauthorized: () => (told += 1) }).api.get("x");
  await assert.rejects(ask(401));
  await assert.rejects(ask(403));
  assert.equal(told, 1);
});
