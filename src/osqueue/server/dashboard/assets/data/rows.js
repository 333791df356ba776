// The rows of a list that is read page by page from a queue that goes on changing. Pure, but that
// a list hands its index on: once it has been changed, only the changed one is of use.
//
// Laws: a row that stands in the list never moves by itself; it is brought up to date where it
// stands, and one that has left the queue or the filter stays, marked `gone`, until the reader asks
// for the list anew. What has come since is only counted (`news`). An id stands in it once.

const ROWS_MAX = 200_000; // some 100 MB in a browser; behind that nobody reads on by hand
const NEWS_MAX = 1_000;
const ERROR_CHARS_MAX = 200;

/**
 * `pages` are `{cursor, start, end}`: where each was read from (undefined: the beginning), and its
 * rows; `next` is where the next one is; `places` has the place of each id in `rows`.
 */
export function noRows() {
  const nothing = { pages: [], next: undefined, rows: [], places: new Map(), news: new Set() };
  return { ...nothing, gone: 0, complete: false, full: false };
}

/** The list with one page more, as the server has answered it for `list.next`. */
export function withPage(list, answer) {
  const rows = list.rows.slice();
  for (const job of answer.jobs) {
    if (list.places.has(job.id)) continue;
    list.places.set(job.id, rows.length);
    rows.push(rowOf(job));
  }
  const page = { cursor: list.next, start: list.rows.length, end: rows.length };
  const full = rows.length >= ROWS_MAX;
  const next = full ? undefined : answer.nextCursor;
  const pages = [...list.pages, page];
  return { ...list, pages, rows, next, full, complete: answer.nextCursor === undefined };
}

/** The list with what the server now says of its page `index`. The rows stay where they are. */
export function withRefresh(list, index, answer) {
  const page = list.pages[index];
  if (page === undefined) return list;
  const rows = list.rows.slice();
  for (const place of missing(list, page, answer)) rows[place] = { ...rows[place], gone: true };
  for (const job of answer.jobs) {
    const place = list.places.get(job.id);
    if (place !== undefined) rows[place] = rowOf(job);
  }
  const gone = rows.reduce((count, row) => count + (row.gone ? 1 : 0), 0);
  return { ...list, rows, gone, news: newsOf(list, index, answer) };
}

/** The pages to read again so that the rows from `first` to `last` are up to date. */
export function pagesOf(list, first, last) {
  const pages = [...list.pages.keys()];
  return pages.filter((index) => {
    const { start, end } = list.pages[index];
    return end > start && start <= last && end > first;
  });
}

/** What a list keeps of a job: no payload, no traceback; 100,000 rows are to fit a browser. */
export function rowOf(job) {
  const { id, status, type = "", workerId = "", createdAt, attempts = 0, maxAttempts = 0 } = job;
  const { priority = 0, runAt, endedAt, progress } = job;
  const said = { id, status, type, workerId, createdAt, attempts, maxAttempts, priority };
  const waits = waitsOf(job);
  return { ...said, runAt, endedAt, progress, waits, error: errorOf(job.lastError), gone: false };
}

/** The status that people tell jobs by: one to be claimed is ready, delayed, or waits for others. */
export function statusOf(row, now) {
  if (row.status !== "unclaimed") return row.status;
  if (waitsOf(row)) return "waiting";
  return row.runAt !== undefined && row.runAt > now ? "delayed" : "ready";
}

function waitsOf({ waits, waitsFor }) {
  return waits ?? (waitsFor?.length ?? 0) > 0;
}

function errorOf(error) {
  return error && { type: error.type, message: error.message.slice(0, ERROR_CHARS_MAX) };
}

// The places of the page's rows that the answer speaks of by silence: those before the last row
// that it brings, and all when it reaches the end.
function missing(list, page, answer) {
  const brought = new Set(answer.jobs.map((job) => job.id));
  const end = answer.nextCursor === undefined ? page.end : reachOf(list, page, answer, brought);
  const places = [];
  for (let place = page.start; place < end; place += 1) {
    const row = list.rows[place];
    if (!row.gone && !brought.has(row.id)) places.push(place);
  }
  return places;
}

function reachOf(list, page, answer, brought) {
  let reach = page.start;
  for (let place = page.start; place < page.end; place += 1) {
    if (brought.has(list.rows[place].id)) reach = place + 1;
  }
  const last = answer.jobs.at(-1);
  const isBefore = last && orderOf(list);
  while (isBefore && reach < page.end && isBefore(list.rows[reach], last)) reach += 1;
  return reach;
}

// Whether one row stands before another, by when they were made: rows come in that order, or its
// reverse.
function orderOf(list) {
  const [first, last] = [list.rows[0], list.rows.at(-1)];
  if (first.createdAt > last.createdAt) return (one, other) => one.createdAt > other.createdAt;
  return (one, other) => one.createdAt < other.createdAt;
}

// The ids that the list does not have. Those behind the last that it has belong to its next page,
// unless there is none.
function newsOf(list, index, answer) {
  const ids = answer.jobs.map((job) => job.id);
  const known = ids.findLastIndex((id) => list.places.has(id));
  const isLast = index === list.pages.length - 1 && list.complete;
  const own = known < 0 || isLast ? ids : ids.slice(0, known);
  const news = new Set(list.news);
  for (const id of own) {
    if (!list.places.has(id) && news.size < NEWS_MAX) news.add(id);
  }
  return news;
}
