// Requests to the broker, over HTTP. Laws: paths are relative to the page, so that it works under any
// sub-path; every failure is an ApiError that says what happened; nothing is waited for for ever.

import { parse, stringify } from "./exact.js";

const TIMEOUT_MS = 30_000;

/** A request that failed. `status` 0: nobody answered; 307: this broker does not lead. */
export class ApiError extends Error {
  constructor(status, tag, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.tag = tag;
  }
}

/**
 * Requests from a page at `base`. `onUnauthorized` is told when the broker wants a token.
 * Each call answers the JSON, or undefined when there is none; `signal` gives up on it. `exact` reads
 * what people sent: with their numbers as they wrote them, see exact.js.
 */
export function makeApi({ base, fetch, onUnauthorized = () => {}, timeoutMs = TIMEOUT_MS }) {
  async function ask(method, path, { query, body, signal, read = readJson } = {}) {
    const url = urlOf(base(), path, query);
    const limit = new Limit(signal, timeoutMs);
    try {
      const response = await fetch(url, requestOf(method, body, limit.signal));
      if (!response.ok) throw await errorOf(response);
      return await read(response);
    } catch (error) {
      throw translated(error, signal, onUnauthorized);
    } finally {
      limit.over();
    }
  }
  return {
    get: (path, query, options) => ask("GET", path, { query, ...options }),
    exact: (path, query, options) => ask("GET", path, { query, ...options, read: readExact }),
    text: (path, query, options) => ask("GET", path, { query, ...options, read: readText }),
    post: (path, body, options) => ask("POST", path, { body, ...options }),
    put: (path, body, options) => ask("PUT", path, { body, ...options }),
    del: (path, options) => ask("DELETE", path, options),
  };
}

/** `path` under `base` with the query's fields, without those that say nothing. */
export function urlOf(base, path, query = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") url.searchParams.append(name, one);
    }
  }
  return url.href;
}

/** The folder that this page is in, without its query and its hash. */
export function pageBase() {
  return new URL(".", globalThis.location.href.split(/[?#]/)[0]).href;
}

const listeners = new Set();

/** Call `fn` whenever the broker wants a token. Returns what stops that. */
export function onUnauthorized(fn) {
  listeners.add(fn);
  return () => listeners.delete(fn);
}

/** The requests of this page. */
export const api = makeApi({
  base: pageBase,
  fetch: (...request) => globalThis.fetch(...request),
  onUnauthorized: () => listeners.forEach((fn) => fn()),
});

/** A time limit that the caller's own signal can cut short. */
class Limit {
  constructor(signal, timeoutMs) {
    this.controller = new AbortController();
    this.timer = setTimeout(() => this.controller.abort(), timeoutMs);
    this.abort = () => this.controller.abort();
    this.outer = signal;
    if (signal?.aborted) this.abort();
    signal?.addEventListener("abort", this.abort);
  }

  get signal() {
    return this.controller.signal;
  }

  over() {
    clearTimeout(this.timer);
    this.outer?.removeEventListener("abort", this.abort);
  }
}

function requestOf(method, body, signal) {
  // A redirect leads to another broker, which the page may not ask: it is told instead.
  const request = { method, signal, redirect: "manual", credentials: "same-origin", headers: {} };
  if (method !== "GET") request.headers["x-osqueue-ui"] = "1";
  if (body !== undefined) {
    request.headers["content-type"] = "application/json";
    request.body = stringify(body);
  }
  return request;
}

async function readJson(response) {
  const text = await response.text();
  return text ? JSON.parse(text) : undefined;
}

async function readExact(response) {
  const text = await response.text();
  return text ? parse(text) : undefined;
}

function readText(response) {
  return response.text();
}

async function errorOf(response) {
  if (response.type === "opaqueredirect" || response.status === 307) {
    const message = "This broker stands by. Open the dashboard of the one that leads.";
    return new ApiError(307, "BrokerLeadershipError", message);
  }
  const said = await readJson(response).catch(() => undefined);
  const fallback = `The broker answered ${response.status} ${response.statusText ?? ""}`.trim();
  return new ApiError(response.status, said?._tag ?? "", said?.message ?? fallback);
}

function translated(error, signal, unauthorized) {
  if (error instanceof ApiError) {
    if (error.status === 401) unauthorized();
    return error;
  }
  if (signal?.aborted) return error;
  if (error?.name === "AbortError") return new ApiError(0, "TimeoutError", "The broker did not answer in time.");
  if (error instanceof SyntaxError) return new ApiError(0, "BrokerProtocolError", "The answer is not JSON: is this an osqueue broker?");
  return new ApiError(0, "TransportConnectionError", "The broker cannot be reached.");
}
