// The jobs of the queue, and those that ended: filtered, read on as one scrolls, acted on in numbers.
// Law: the rows stay where they are while somebody reads, points at or has chosen any of them; what
// has come meanwhile is told, and shown when asked for.

import { Chosen, NOBODY } from "./jobs/chosen.js";
import { Filters } from "./jobs/filters.js";
import { JobList } from "../data/job_list.js";
import { actionsOn, condition, describe, filterOf, isEnded, isNarrow, sameFilter } from "../data/filters.js";
import { api } from "../data/api.js";
import { go, href } from "../data/routes.js";
import { number, plural } from "../data/format.js";
import { statusOf } from "../data/rows.js";
import { store } from "../data/store.js";
import {
  Badge, Empty, ErrorBox, Page, Progress, Table, Time, classes, html, may, now,
  useCallback, useEffect, useMemo, useRef, useState,
} from "../parts/ui.js";

const TICK_MS = 1_000;
const COUNT_MS = 5_000;

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
      const found = await api.get("v1/count", condition(filter), { signal: controller.signal });
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
    { key: "id", title: "Id", width: "19rem", hide: "narrow", render: (row) => html`<a class="v-cut v-mono" href=${href(["jobs", row.id])} title=${row.id}>${row.id}</a>` },
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
    <span class="v-under"><${Time} at=${at} /> · <span class="v-mono">${row.id.slice(-8)}</span></span>`;
}

function priority(row) {
  return row.priority === 0 ? html`<span class="muted">0</span>` : number(row.priority);
}

function attempts({ attempts, maxAttempts }) {
  const of = maxAttempts > 0 ? maxAttempts : 3;
  const said = `${number(attempts)} / ${number(of)}`;
  return attempts === 0 ? html`<span class="muted">${said}</span>` : said;
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
