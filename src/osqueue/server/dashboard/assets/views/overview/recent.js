// The newest jobs, and what happens: two lists that stand still in their place while they change.

import { Badge, Card, Empty, ErrorBox, Table, Time, html, now, useEffect, useRef, useState } from "../../parts/ui.js";
import { NONE, absolute, number, timeOfDay } from "../../data/format.js";
import { go, href } from "../../data/routes.js";
import { api } from "../../data/api.js";
import { statusOf } from "../../data/rows.js";

const JOBS = 8;
const JOBS_EVERY_MS = 2_000;
const LOG_EVERY_MS = 1_000;

const COLUMNS = [
  { key: "status", title: "Status", width: "8rem", render: (job) => html`<${Badge} kind=${statusOf(job, now())} />` },
  { key: "id", title: "Id", hide: "narrow", render: (job) => html`<a class="mono" href=${href(["jobs", job.id])} title=${job.id}>${job.id}</a>` },
  { key: "type", title: "Type", render: (job) => job.type || html`<span class="muted">${NONE}</span>` },
  { key: "worker", title: "Worker", hide: "medium", render: (job) => job.workerId || html`<span class="muted">${NONE}</span>` },
  { key: "age", title: "Age", width: "5.5rem", align: "end", render: (job) => html`<${Time} at=${job.createdAt} />` },
];

/** The newest jobs in the queue. Asked for only while something changes, and at most every 2 s. */
export function RecentJobs({ seq, connected }) {
  const { jobs, error, retry } = useNewest(seq, connected);
  const aside = html`<a href=${href("jobs")}>All jobs</a>`;
  return html`<${Card} title="Newest jobs" kind="flush" aside=${aside}>
    <div class="recent-place">
      ${error && !jobs ? html`<${ErrorBox} error=${error} onRetry=${retry} />` : html`<${Table}
        caption="The newest jobs"
        columns=${COLUMNS}
        rows=${jobs}
        rowKey=${(job) => job.id}
        onOpen=${(job) => go(["jobs", job.id])}
        placeholder=${JOBS}
        empty=${html`<${Empty} title="The queue is empty" hint="Jobs appear here as they are submitted." />`}
      />`}
    </div>
  <//>`;
}

function useNewest(seq, connected) {
  const [state, setState] = useState({});
  const seen = useRef();
  const latest = useRef();
  latest.current = { seq, connected };
  const look = async () => {
    const { seq: current, connected: reachable } = latest.current;
    if (!reachable || document.hidden || current === seen.current) return;
    seen.current = current;
    try {
      const { jobs } = await api.get("v1/jobs", { limit: JOBS, order: "newest", payloads: false });
      setState({ jobs: jobs.slice(0, JOBS) });
    } catch (error) {
      seen.current = undefined;
      setState((before) => ({ ...before, error }));
    }
  };
  useEffect(() => {
    look();
    const timer = setInterval(look, JOBS_EVERY_MS);
    return () => clearInterval(timer);
  }, [connected, seq === undefined]);
  return { ...state, retry: look };
}

/** What happens, the newest first, in lines that stay where they are. It stands still while it is pointed at, or the focus is in it. */
export function Activity({ overview }) {
  const [held, setHeld] = useState(null);
  const shown = useCalm({ events: overview?.activity ?? [], skipped: overview?.skipped ?? 0 }, LOG_EVERY_MS);
  const { events, skipped } = held ?? shown;
  const aside = html`${held ? "paused" : skipped > 0 && `${number(skipped)} more not listed`}`;
  return html`<${Card} title="Activity" kind="flush" aside=${aside}>
    <div class="log" tabindex="0" role="region" aria-label="Activity, the newest first"
      onMouseEnter=${() => setHeld(shown)} onMouseLeave=${() => setHeld(null)}
      onFocusIn=${() => setHeld(shown)} onFocusOut=${() => setHeld(null)}>
      ${events.length
        ? html`<ol>${events.map((event, place) => html`<${Line} key=${place} event=${event} />`)}</ol>`
        : html`<${Empty} title="Nothing has happened" hint="What becomes of jobs is told here while this page is open." />`}
    </div>
  <//>`;
}

function Line({ event }) {
  return html`<li class="log-line">
    <time class="log-at" datetime=${new Date(event.at).toISOString()} title=${absolute(event.at)}>${timeOfDay(event.at)}</time>
    <span><${Badge} kind=${event.kind} /></span>
    <a class="truncate" href=${href(["jobs", event.jobId])} title=${event.jobId}>${event.type || html`<span class="mono">${event.jobId}</span>`}</a>
    <span class="truncate muted">${event.workerId}</span>
  </li>`;
}

/** A value that is followed at most every `periodMs`: nobody can read what runs faster. */
function useCalm(value, periodMs) {
  const [shown, setShown] = useState(value);
  const latest = useRef();
  latest.current = value;
  useEffect(() => {
    const timer = setInterval(() => setShown((before) => (same(before, latest.current) ? before : latest.current)), periodMs);
    return () => clearInterval(timer);
  }, [periodMs]);
  return shown.events.length ? shown : value;
}

function same(one, other) {
  return one.events === other.events && one.skipped === other.skipped;
}
