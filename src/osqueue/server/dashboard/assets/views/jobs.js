// The jobs of the queue, and those that ended: filtered, read on as one scrolls, acted on in numbers.
// Law: the rows stay where they are while somebody reads, points at or has chosen any of them; what
// has come meanwhile is told, and shown when asked for.

import { ANY, QUEUED, ENDED, actionsOn, condition, describe, filterOf, isEnded, isNarrow, pageRequest, sameFilter } from "../data/filters.js";
import { actOnFilter, actOnIds, actOnPages } from "../data/bulk.js";
import { api } from "../data/api.js";
import { go, href } from "../data/routes.js";
import { JobList } from "../data/job_list.js";
import { number, plural } from "../data/format.js";
import { openBulk, ACTIONS } from "../parts/bulk.js";
import { statusOf } from "../data/rows.js";
import { store, useStore } from "../data/store.js";
import {
  Badge, Button, Empty, ErrorBox, Page, Progress, Segments, Table, Time, classes, html, may, now,
  useCallback, useEffect, useMemo, useRef, useState,
} from "../parts/ui.js";

const TYPING_MS = 300;
const TICK_MS = 1_000;
const COUNT_MS = 5_000;
const TYPES_MAX = 200;

export default function Jobs({ query }) {
  const filter = useSteady(filterOf(query));
  const jobs = useJobs(filter);
  const [chosen, setChosen] = useState(NOBODY);
  const counted = useCount(filter);
  useEffect(() => setChosen(NOBODY), [filter]);
  const hold = useHold(chosen);
  useUpdates(jobs, hold);
  const reload = useCallback(() => {
    setChosen(NOBODY);
    scrollTo(0, 0);
    jobs.reload();
  }, [jobs]);
  return html`<${Page} title="Jobs" subtitle=${subtitle(filter, counted)}>
    <${Filters} filter=${filter} />
    <${List} jobs=${jobs} filter=${filter} chosen=${chosen} onChoose=${setChosen} hold=${hold} onReload=${reload} />
    <${Chosen} filter=${filter} chosen=${chosen} onChoose=${setChosen} jobs=${jobs} counted=${counted} onDone=${reload} />
  <//>`;
}

// What is chosen: some ids, or the whole of the filter.
const NOBODY = { ids: new Set(), whole: false };

/** The same object as long as it says the same: what depends on it is not made anew. */
function useSteady(filter) {
  const kept = useRef(filter);
  if (!sameFilter(kept.current, filter)) kept.current = filter;
  return kept.current;
}

function useJobs(filter) {
  const jobs = useMemo(() => leftBehind(filter) ?? new JobList({ api, filter }), [filter]);
  useEffect(() => {
    let place = left.scrollY;
    if (jobs.state.get().list === undefined) jobs.reload();
    else returnTo(place);
    // Noted as it changes: when one leaves, the page has already been cut short, and scrolled.
    const note = () => {
      if (!isOfOne(location.hash)) place = scrollY;
    };
    addEventListener("scroll", note, { passive: true });
    return () => {
      removeEventListener("scroll", note);
      leave(jobs, place);
    };
  }, [jobs]);
  return jobs;
}

// The list that was left for one of its jobs: coming back, one finds it where one was.
const left = { jobs: undefined, scrollY: 0 };

function leave(jobs, scrollY) {
  left.jobs?.close();
  left.jobs = undefined;
  if (isOfOne(location.hash)) Object.assign(left, { jobs, scrollY });
  else jobs.close();
}

function isOfOne(hash) {
  return hash.startsWith("#/jobs/");
}

function leftBehind(filter) {
  const { jobs } = left;
  if (jobs === undefined || !sameFilter(jobs.filter, filter)) return undefined;
  left.jobs = undefined;
  return jobs;
}

// Behind what the page does when it shows another view: that begins at its top.
function returnTo(y) {
  requestAnimationFrame(() => requestAnimationFrame(() => scrollTo(0, y)));
}

/** The store's state; drawn anew when it changes. */
function useWatched(watched) {
  const [, redraw] = useState({});
  useEffect(() => watched.subscribe(() => redraw({})), [watched]);
  return watched.get();
}

// Whether the rows are to stay: one reads further down, points at them, or has chosen some.
function useHold(chosen) {
  const hold = useRef({ pointed: false, chosen: false, first: 0, last: 0 });
  hold.current.chosen = chosen.ids.size > 0 || chosen.whole;
  return hold.current;
}

function isHeld({ pointed, chosen }) {
  const atRow = document.activeElement?.closest?.("tr[data-row]") ?? null;
  return pointed || chosen || atRow !== null || scrollY > 120;
}

/** Once a second, if the queue has changed since, and somebody looks. */
function useUpdates(jobs, hold) {
  useEffect(() => {
    let seen = store.get().overview?.seq;
    let idle = 0;
    const timer = setInterval(() => {
      const { overview, connection } = store.get();
      idle = overview?.seq === seen ? idle + 1 : 0;
      if (document.hidden || connection.state === "stale" || (idle > 0 && idle % 5 !== 0)) return;
      seen = overview?.seq;
      jobs.refresh(hold.first, hold.last, isHeld(hold));
    }, TICK_MS);
    return () => clearInterval(timer);
  }, [jobs]);
}

/** How many jobs the filter selects: `{count, atLeast}`, looked at anew from time to time. */
function useCount(filter) {
  const [counted, setCounted] = useState({});
  useEffect(() => {
    const controller = new AbortController();
    const look = async () => {
      if (document.hidden) return;
      const found = await api.get("v1/jobs/count", condition(filter), { signal: controller.signal });
      if (!controller.signal.aborted) setCounted(found);
    };
    const quietly = () => look().catch(() => {}); // the list beside it tells what is wrong
    setCounted({});
    if (isEnded(filter)) return undefined;
    quietly();
    const timer = setInterval(quietly, COUNT_MS);
    return () => {
      controller.abort();
      clearInterval(timer);
    };
  }, [filter]);
  return counted;
}

function subtitle(filter, { count, atLeast }) {
  if (isEnded(filter)) return `${describe(filter)}, newest first`;
  if (count === undefined) return "\u00a0";
  const what = describe(filter);
  return `${atLeast ? "more than " : ""}${number(count)} ${count === 1 ? what.replace(/^(\w+ )?(job|letter)s\b/, "$1$2") : what}`;
}

// The filter

const STATUS_LABELS = { "": "All", ready: "Ready", delayed: "Delayed", in_progress: "In progress", dead: "Dead", ended: "Ended" };
const STATUSES = ["", ...QUEUED, "ended"].map((value) => ({ value, label: STATUS_LABELS[value] }));

function Filters({ filter }) {
  const change = (patch, options) => go("jobs", said({ ...filter, ...patch }), options);
  const group = isEnded(filter) ? "ended" : filter.status === "unclaimed" ? "ready" : filter.status;
  return html`<form class="v-filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <${Segments} label="Status" options=${STATUSES} value=${group} onChange=${(status) => change({ status })} />
    ${isEnded(filter) && html`<select class="select" aria-label="How it ended" value=${filter.status}
      onChange=${(event) => change({ status: event.target.value })}>
      <option value="ended">however it ended</option>
      ${ENDED.map((status) => html`<option key=${status} value=${status}>${status}</option>`)}
    </select>`}
    <${TypeField} value=${filter.type} onChange=${(type) => change({ type }, { replace: true })} />
    <${TextField} label="Text in id, type, worker or error" class="v-search" type="search" data-search=${true}
      value=${filter.text} onChange=${(text) => change({ text }, { replace: true })} />
    ${isEnded(filter) || html`<select class="select" aria-label="Order" value=${filter.order}
      onChange=${(event) => change({ order: event.target.value })}>
      <option value="newest">newest first</option>
      <option value="oldest">oldest first</option>
    </select>`}
    ${isNarrow(filter) && html`<${Button} kind="quiet" onClick=${() => change({ ...ANY, order: filter.order })}>Clear<//>`}
  </form>`;
}

// In the address stands only what is not as usual.
function said(filter) {
  const fields = Object.entries(filter).filter(([name, value]) => value !== ANY[name]);
  return Object.fromEntries(fields);
}

function TypeField({ value, onChange }) {
  const types = useStore((state) => state.overview?.types);
  const names = Object.keys(types ?? {}).filter((name) => name !== "").slice(0, TYPES_MAX);
  return html`
    <${TextField} label="Type" class="v-type" list="v-types" value=${value} onChange=${onChange} />
    <datalist id="v-types">${names.map((name) => html`<option key=${name} value=${name} />`)}</datalist>`;
}

/** A field whose value counts when one has paused in writing it. */
function TextField({ label, value, onChange, class: name, ...rest }) {
  const [text, setText] = useState(value);
  const timer = useRef();
  useEffect(() => setText(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const write = (event) => {
    const next = event.target.value;
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(next), TYPING_MS);
  };
  const finish = () => {
    clearTimeout(timer.current);
    if (text !== value) onChange(text);
  };
  return html`<input class=${classes("input", name)} aria-label=${label} placeholder=${label} value=${text} autocomplete="off" spellcheck="false"
    onInput=${write} onChange=${finish} ...${rest} />`;
}

// The list

function List({ jobs, filter, chosen, onChoose, hold, onReload }) {
  const { list, loading, searching, error } = useWatched(jobs.state);
  const columns = useMemo(() => columnsOf(filter), [filter]);
  const point = (pointed) => () => {
    hold.pointed = pointed;
  };
  const onRange = useCallback((first, last) => Object.assign(hold, { first, last }), [hold]);
  if (error && !list) return html`<${ErrorBox} error=${error} onRetry=${onReload} />`;
  const bulk = may("admin") && actionsOn(filter).length > 0;
  return html`
    <${News} list=${list} onReload=${onReload} />
    ${error && html`<${ErrorBox} error=${error} onRetry=${onReload} />`}
    <div class="v-list" onPointerEnter=${point(true)} onPointerLeave=${point(false)} aria-busy=${String(loading)}>
      <${Table}
        columns=${columns} rows=${list?.rows} rowKey=${(row) => row.id} caption=${describe(filter)} placeholder=${12}
        onOpen=${(row) => go(["jobs", row.id])} onRange=${onRange} loadMore=${() => jobs.more()}
        selected=${bulk ? chosen.ids : undefined} onSelect=${bulk ? (ids) => onChoose({ ids, whole: false }) : undefined}
        empty=${html`<${Nothing} filter=${filter} searching=${searching} />`}
      />
      <${Foot} list=${list} searching=${searching} />
    </div>`;
}

// Its room is kept, so that nothing moves when it comes.
function News({ list, onReload }) {
  const gone = list?.gone ?? 0;
  const news = list?.news.size ?? 0;
  const text = [news > 0 && `${news >= 1000 ? "more than " : ""}${number(news)} new`, gone > 0 && `${number(gone)} gone`].filter(Boolean).join(", ");
  return html`<div class="v-news" role="status">
    ${text && html`<button type="button" class="v-chip" onClick=${onReload}>${text}: show</button>`}
  </div>`;
}

function Foot({ list, searching }) {
  if (!list || list.rows.length === 0) return null;
  return html`<p class="v-foot">${plural(list.rows.length, "job")} loaded. ${whatFollows(list, searching)}</p>`;
}

function whatFollows({ full, complete }, searching) {
  if (full) return "That is as much as a page can hold: filter for the rest.";
  if (complete) return "That is all.";
  return searching ? "Searching…" : "More as you scroll.";
}

function Nothing({ filter, searching }) {
  if (searching) return html`<${Empty} title="Searching…" />`;
  if (isNarrow(filter)) return html`<${Empty} title=${`No ${describe(filter)}`} hint="Another filter may find some." />`;
  return html`<${Empty} title="The queue is empty" hint=${html`Jobs come from producers; <a href="#/playground">the playground</a> is one.`} />`;
}

function columnsOf(filter) {
  const ended = isEnded(filter);
  return [
    { key: "status", title: "Status", width: "8.5rem", render: (row) => html`<${Status} row=${row} />` },
    { key: "type", title: "Type", render: (row) => html`<${Type} row=${row} at=${ended ? row.endedAt : row.createdAt} />` },
    { key: "id", title: "Id", hide: "narrow", render: (row) => html`<a class="v-cut v-mono" href=${href(["jobs", row.id])} title=${row.id}>${row.id}</a>` },
    { key: "what", title: ended ? "Error" : "Worker, progress or error", hide: "medium", render: (row) => html`<${What} row=${row} />` },
    { key: "attempts", title: "Attempts", width: "5.5rem", align: "end", hide: "medium", render: attempts },
    { key: "priority", title: "Priority", width: "5rem", align: "end", hide: "medium", render: priority },
    {
      key: "at", title: ended ? "Ended" : "Submitted", width: "6.5rem", align: "end", hide: "narrow",
      render: (row) => html`<${Time} at=${ended ? row.endedAt : row.createdAt} />`,
    },
  ];
}

/** Where it is narrow, with what there is no column for. */
function Type({ row, at }) {
  return html`
    <span class=${classes("v-cut", row.gone && "v-gone")} title=${row.type}>${row.type || html`<span class="muted">untyped</span>`}</span>
    <span class="v-under"><${Time} at=${at} /> · <span class="v-mono">${row.id.slice(-12)}</span></span>`;
}

function priority(row) {
  return row.priority === 0 ? html`<span class="muted">0</span>` : number(row.priority);
}

function attempts({ attempts, maxAttempts }) {
  const of = maxAttempts > 0 ? ` / ${number(maxAttempts)}` : "";
  return attempts === 0 && of === "" ? html`<span class="muted">0</span>` : `${number(attempts)}${of}`;
}

function Status({ row }) {
  if (row.gone) return html`<${Badge} kind="plain">gone<//>`;
  return html`<${Badge} kind=${statusOf(row, now())} />`;
}

function What({ row }) {
  if (row.status === "in_progress") {
    return html`<span class="v-what">
      <span class="v-cut" title=${row.workerId}>${row.workerId}</span>
      ${row.progress && html`<${Progress} done=${row.progress.done} total=${row.progress.total} />`}
    </span>`;
  }
  if (row.error) return html`<span class="v-cut v-bad" title=${`${row.error.type}: ${row.error.message}`}>${row.error.type}: ${row.error.message}</span>`;
  if (statusOf(row, now()) === "delayed") return html`<span class="muted">runs <${Time} at=${row.runAt} /></span>`;
  return null;
}

// What can be done with those that are chosen

function Chosen({ filter, chosen, onChoose, jobs, counted, onDone }) {
  if (chosen.ids.size === 0 && !chosen.whole) return null;
  const rows = jobs.state.get().list?.rows.filter((row) => chosen.ids.has(row.id)) ?? [];
  const kinds = chosen.whole ? actionsOn(filter) : kindsOf(rows);
  const all = counted.count !== undefined && counted.count > chosen.ids.size;
  const ask = (kind) => () => (chosen.whole ? askForAll(kind, filter, onDone) : askForRows(kind, rows, onDone));
  return html`<div class="v-bulk" role="toolbar" aria-label="With those that are chosen">
    <span class="v-bulk-text">${chosen.whole ? `All ${describe(filter)}` : `${number(chosen.ids.size)} chosen`}</span>
    ${!chosen.whole && all && html`<${Button} kind="quiet" onClick=${() => onChoose({ ...chosen, whole: true })}>
      Choose all ${counted.atLeast ? "more than " : ""}${number(counted.count)}
    <//>`}
    <span class="v-bulk-actions">
      ${kinds.map((kind) => html`<${Button} key=${kind} kind=${ACTIONS[kind].danger ? "danger" : undefined} onClick=${ask(kind)}>${WORDS[kind]}<//>`)}
      <${Button} kind="quiet" onClick=${() => onChoose(NOBODY)}>Clear<//>
    </span>
  </div>`;
}

const WORDS = { retry: "Retry…", cancel: "Cancel…", discard: "Discard…", setPriority: "Priority…" };

// On which of some jobs an action makes sense.
const FITS = {
  retry: (row) => row.status === "dead",
  cancel: (row) => row.status === "unclaimed" || row.status === "in_progress",
  discard: (row) => row.status === "dead",
  setPriority: (row) => row.status === "unclaimed",
};

function kindsOf(rows) {
  return Object.keys(FITS).filter((kind) => rows.some((row) => !row.gone && FITS[kind](row)));
}

function askForRows(kind, rows, onDone) {
  const fitting = rows.filter((row) => !row.gone && FITS[kind](row)).map((row) => row.id);
  const note = fitting.length < rows.length ? `of ${number(rows.length)} chosen` : "";
  openBulk({
    kind,
    what: "the chosen jobs",
    preview: async () => ({ count: fitting.length, note }),
    act: (action, options) => actOnIds(api, action, fitting, options),
    onDone,
  });
}

// Of all jobs, only those that wait have a priority that matters.
function askForAll(kind, filter, onDone) {
  const scope = kind === "setPriority" && filter.status === "" ? { ...filter, status: "unclaimed" } : filter;
  openBulk({
    kind: kind === "cancel" && filter.status === "dead" ? "discard" : kind,
    what: describe(scope),
    preview: (signal) => previewOf(scope, signal),
    act: (action, options) => actOnAll(action, scope, options),
    onDone,
  });
}

// How many there are; of all jobs also which of them one may not have thought of.
async function previewOf(filter, signal) {
  const count = (status) => api.get("v1/jobs/count", condition({ ...filter, status }), { signal });
  const counted = await count(filter.status);
  if (filter.status !== "") return counted;
  const [running, dead] = await Promise.all([count("in_progress"), count("dead")]);
  const among = [running.count > 0 && `${number(running.count)} in progress`, dead.count > 0 && plural(dead.count, "dead letter")];
  const said = among.filter(Boolean).join(" and ");
  return { ...counted, note: said && `${said} among them` };
}

// A new priority leaves a job where it is in the listing, so that is gone through page by page.
function actOnAll(action, filter, options) {
  if (action.action !== "setPriority") return actOnFilter(api, action, condition(filter), options);
  const pageOf = (cursor) => {
    const { path, query } = pageRequest({ ...filter, order: "oldest" }, { cursor, limit: 1_000 });
    return api.get(path, query, { signal: options.signal });
  };
  return actOnPages(api, action, pageOf, options);
}
