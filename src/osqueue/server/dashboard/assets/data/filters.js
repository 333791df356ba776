// Which jobs a list shows: read from the address of the page, written back to it, and said to the
// server. Pure. A filter has every field, each within what the server takes.

export const ORDERS = ["newest", "oldest"];

// What is in the queue, and what has left it: two reads of the server.
export const QUEUED = ["ready", "delayed", "waiting", "in_progress", "dead"];
export const ENDED = ["completed", "cancelled", "expired", "discarded"];

const TYPE_CHARS_MAX = 256;
const TEXT_CHARS_MAX = 200;

/** Of all jobs in the queue; "ended" are all that have left it. */
export const ANY = { status: "", type: "", text: "", order: "newest" };

const STATUSES = new Set(["", "unclaimed", ...QUEUED, "ended", ...ENDED]);

/**
 * A filter from what stands behind the `?`: an object, or URLSearchParams. What makes no sense is
 * as if it were not there: an old link is no error.
 */
export function filterOf(query) {
  const said = query instanceof URLSearchParams ? Object.fromEntries(query) : (query ?? {});
  return {
    status: STATUSES.has(said.status) ? said.status : ANY.status,
    type: text(said.type, TYPE_CHARS_MAX),
    text: text(said.text, TEXT_CHARS_MAX).trim(),
    order: ORDERS.includes(said.order) ? said.order : ANY.order,
  };
}

/** The link to a list; what is as usual is left out, so one filter has one address. */
export function hashOf(filter) {
  const query = new URLSearchParams(changedFields(filter)).toString();
  return query === "" ? "#/jobs" : `#/jobs?${query}`;
}

export function sameFilter(one, other) {
  return hashOf(one) === hashOf(other);
}

/** Whether anything is left out by it. */
export function isNarrow(filter) {
  return filter.status !== "" || filter.type !== "" || filter.text !== "";
}

export function isEnded(filter) {
  return filter.status === "ended" || ENDED.includes(filter.status);
}

/** The path and the query that list one page, without payloads. Ended jobs come newest first only. */
export function pageRequest(filter, { cursor, limit }) {
  const query = { ...condition(filter), limit, payloads: false };
  if (cursor !== undefined) query.cursor = cursor;
  if (isEnded(filter)) return { path: "v1/ended", query };
  return { path: "v1/jobs", query: { ...query, order: filter.order } };
}

/** What restricts, as every request says it: `status`, `type` and `text`, as far as they are set. */
export function condition(filter) {
  const { status, type, text } = filter;
  const said = { status: status === "ended" ? "" : status, type, text };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== ""));
}

/** Which actions make sense on what a filter selects. */
export function actionsOn(filter) {
  if (isEnded(filter)) return [];
  if (filter.status === "dead") return ["retry", "cancel"];
  return filter.status === "in_progress" ? ["cancel"] : ["cancel", "setPriority"];
}

/** The same in words, for questions and headings: `dead letters of type email:send with “timeout”`. */
export function describe(filter) {
  const what = WORDS[filter.status] ?? "jobs";
  const type = filter.type === "" ? "" : ` of type ${filter.type}`;
  return what + type + (filter.text === "" ? "" : ` with “${filter.text}”`);
}

const WORDS = {
  unclaimed: "waiting jobs",
  ready: "ready jobs",
  delayed: "delayed jobs",
  waiting: "jobs that wait for others",
  in_progress: "jobs in progress",
  dead: "dead letters",
  ended: "ended jobs",
  completed: "completed jobs",
  cancelled: "cancelled jobs",
  expired: "expired jobs",
  discarded: "discarded jobs",
};

function changedFields(filter) {
  return Object.entries(filter).filter(([name, value]) => name in ANY && value !== ANY[name]);
}

function text(value, charsMax) {
  return typeof value === "string" ? value.slice(0, charsMax) : "";
}
