// One job: what it is, what it was given, what has become of it, and what can be done about it.

import { ACTIONS, openBulk } from "../parts/bulk.js";
import { JobWatch } from "../data/job_watch.js";
import { actionsOn, isMoving, timelineOf } from "../data/attempts.js";
import { api } from "../data/api.js";
import { bytes, duration, number } from "../data/format.js";
import { stringify } from "../data/exact.js";
import { href } from "../data/routes.js";
import { statusOf } from "../data/rows.js";
import { useStore } from "../data/store.js";
import { Workflow } from "./job/workflow.js";
import {
  Badge, Button, Card, Copy, Empty, ErrorBox, Field, Json, Page, Progress, Skeleton, Time, classes, confirm, html, may, now, toast,
  useEffect, useNow, useState,
} from "../parts/ui.js";

export default function Job({ params }) {
  const { id } = params;
  const { job, error, look } = useJob(id);
  const missing = error?.status === 404;
  return html`<${Page}
    title=${job?.type || "Job"}
    subtitle=${html`<span class="v-mono v-id">${id}</span>`}
    actions=${job && !missing && html`<${Actions} job=${job} onDone=${look} />`}
  >
    ${missing && html`<${Missing} known=${job} />`}
    ${error && !missing && html`<${ErrorBox} error=${error} onRetry=${look} />`}
    ${job ? html`<${Whole} job=${job} stale=${Boolean(error)} />` : !error && html`<${Skeleton} lines=${8} />`}
  <//>`;
}

function useJob(id) {
  const [shown, setShown] = useState({});
  useEffect(() => {
    const watch = new JobWatch({ api, id, hidden: () => document.hidden });
    const show = () => setShown({ ...watch.state.get(), look: () => watch.look() });
    const stop = watch.state.subscribe(show);
    show();
    return () => {
      stop();
      watch.close();
    };
  }, [id]);
  return shown;
}

function Missing({ known }) {
  const hint = "It may have ended longer ago than its end is kept, or the id may be mistyped.";
  return html`<${Empty} title=${known ? "This job is no longer known" : "There is no such job"} hint=${hint}>
    <p><a href="#/jobs">All jobs</a></p>
  <//>`;
}

function Whole({ job, stale }) {
  return html`<div class=${classes("v-job", stale && "v-stale")}>
    <div class="v-job-main">
      <${Card} title="What has become of it"><${Timeline} job=${job} /><//>
      <${Workflow} id=${job.id} seen=${`${job.status} ${job.waitsFor?.length ?? 0}`} />
      <${Card} title="Payload" aside=${asideOf(job)}><${Payload} job=${job} /><//>
      ${"result" in job && html`<${Card} title="Result" aside=${html`<${CopyJson} value=${job.result} what="the result" />`}><${Json} value=${job.result} label="Result" open=${2} /><//>`}
    </div>
    <${Card} title="Job"><${Fields} job=${job} /><//>
  </div>`;
}

// What can be done

function Actions({ job, onDone }) {
  useStore((state) => state.session);
  const kinds = actionsOn(job).filter((kind) => may(ROLES[kind]));
  return kinds.map((kind) => html`<${Action} key=${kind} kind=${kind} job=${job} onDone=${onDone} />`);
}

const ROLES = { retry: "admin", discard: "produce", cancel: "produce", setPriority: "admin" };
const WORDS = { retry: "Retry", discard: "Discard", cancel: "Cancel", setPriority: "Change priority" };
const QUESTIONS = {
  discard: "The dead letter goes for good, and its payload with it.",
  cancel: "It won't run any more. A worker that is at it is told to stop.",
};

function Action({ kind, job, onDone }) {
  const [busy, setBusy] = useState(false);
  const act = async () => {
    if (kind === "setPriority") return askForPriority(job, onDone);
    const options = { kind: "danger", title: `${WORDS[kind]} this job?` };
    if (QUESTIONS[kind] && !(await confirm(QUESTIONS[kind], `${WORDS[kind]} it`, options))) return undefined;
    setBusy(true);
    try {
      await DOES[kind](`v1/jobs/${encodeURIComponent(job.id)}`);
      toast(`The job is ${ACTIONS[kind].done}.`);
    } catch (error) {
      toast(error.message, "bad");
    }
    setBusy(false);
    return onDone();
  };
  return html`<${Button} kind=${ACTIONS[kind].danger ? "danger" : kind === "retry" ? "primary" : undefined} busy=${busy} onClick=${act}>${WORDS[kind]}<//>`;
}

const DOES = {
  retry: (path) => api.post(`${path}/retry`),
  discard: (path) => api.del(path),
  cancel: (path) => api.del(path),
};

function askForPriority(job, onDone) {
  openBulk({
    kind: "setPriority",
    what: "this job",
    preview: async () => ({ count: 1, note: `whose priority is ${number(job.priority ?? 0)}` }),
    act: async ({ priority }, { signal }) => {
      await api.post(`v1/jobs/${encodeURIComponent(job.id)}/priority`, { priority }, { signal });
      return { done: 1, failed: [], failures: 0, left: false };
    },
    onDone,
  });
}

// What it was given

function asideOf(job) {
  if ("payload" in job) return html`<${CopyJson} value=${job.payload} what="the payload" />`;
  return job.payloadBytes !== undefined && bytes(job.payloadBytes);
}

function CopyJson({ value, what }) {
  return html`<${Copy} kind="quiet" text=${() => stringify(value, 2)} what=${what} />`;
}

function Payload({ job }) {
  if (job.payloadHidden) return html`<p class="muted">Payloads are hidden from your role.</p>`;
  if ("payload" in job) return html`<${Json} value=${job.payload} label="Payload" open=${2} />`;
  if (job.payloadBytes !== undefined) return html`<${LargePayload} job=${job} />`;
  const kept = isMoving(job) || job.status === "dead";
  return html`<p class="muted">${kept ? "It has none." : "It is not kept once a job has ended."}</p>`;
}

function LargePayload({ job }) {
  const [loaded, setLoaded] = useState({});
  const load = async () => {
    setLoaded({ busy: true });
    try {
      setLoaded({ value: await api.exact(`v1/jobs/${encodeURIComponent(job.id)}/payload`) });
    } catch (error) {
      setLoaded({ error });
    }
  };
  if (loaded.error) return html`<${ErrorBox} error=${loaded.error} onRetry=${load} />`;
  if ("value" in loaded) return html`<${Json} value=${loaded.value} label="Payload" open=${1} />`;
  return html`<p class="muted">It is large, and kept apart.</p><${Button} busy=${loaded.busy} onClick=${load}>Load ${bytes(job.payloadBytes)}<//>`;
}

// What has become of it

const STEPS = {
  submitted: "Submitted",
  ready: "Ready to be claimed",
  delayed: "Delayed until",
  waiting: "Waits for other jobs",
  dead: "Dead letter",
  completed: "Completed",
  cancelled: "Cancelled",
  expired: "Expired",
  discarded: "Discarded",
};

function Timeline({ job }) {
  const present = useNow();
  const steps = timelineOf(job, present);
  return html`<ol class="v-timeline">
    ${steps.map((step, place) => html`<${Step} key=${`${step.kind}-${step.attempt ?? place}`} step=${step} job=${job} />`)}
  </ol>`;
}

function Step({ step, job }) {
  const open = job.status !== "completed" && step.error && step.at === (job.errors?.at(-1) ?? job.lastError)?.at;
  const running = step.kind === "running";
  return html`<li class=${`v-step v-step-${step.kind}`}>
    <div class="v-step-head">
      <span class="v-step-title">${titleOf(step)}</span>
      ${step.at !== undefined && html`<span class="v-step-at">
        ${running && "last heard of "}<${Time} at=${step.at} exact=${!running} />
      </span>`}
    </div>
    ${step.workerId && html`<div class="v-step-worker">by <span class="v-mono">${step.workerId}</span></div>`}
    ${step.kind === "running" && html`<${Running} job=${job} />`}
    ${step.error && html`<${Failure} error=${step.error} open=${open} />`}
  </li>`;
}

function titleOf({ kind, attempt, note }) {
  if (kind === "forgotten") return note;
  if (kind === "failed") return attempt ? `Attempt ${attempt} failed` : "An attempt failed";
  if (kind === "running") return `Attempt ${attempt} is running`;
  if (kind === "completed" && attempt) return `Attempt ${attempt} completed it`;
  return STEPS[kind] ?? kind;
}

function Running({ job }) {
  if (!job.progress) return null;
  const { done, total, note } = job.progress;
  return html`<${Progress} done=${done} total=${total} note=${note} />`;
}

function Failure({ error, open }) {
  return html`<div class="v-failure">
    <p><b>${error.type}</b>${error.message && `: ${error.message}`}</p>
    ${error.traceback && html`<details open=${open}><summary>Traceback</summary><pre class="v-traceback" tabindex="0">${error.traceback}</pre></details>`}
  </div>`;
}

// What it is

function Fields({ job }) {
  const status = statusOf(job, now());
  return html`<dl class="fields v-fields">
    <${Field} label="Status"><${Badge} kind=${status} /><//>
    <${Field} label="Type">${job.type ? html`<a href=${href("jobs", { type: job.type })}>${job.type}</a>` : html`<span class="muted">untyped</span>`}<//>
    ${job.createdAt !== undefined && html`<${Field} label="Submitted"><${Time} at=${job.createdAt} exact /><//>`}
    ${job.runAt !== undefined && html`<${Field} label="Runs at"><${Time} at=${job.runAt} exact /><//>`}
    ${job.endedAt !== undefined && html`<${Field} label="Ended"><${Time} at=${job.endedAt} exact /><//>`}
    ${job.endedAt !== undefined && job.createdAt !== undefined && html`<${Field} label="Took in all">${duration(job.endedAt - job.createdAt)}<//>`}
    ${job.attempts !== undefined && html`<${Field} label="Attempts">${attemptsOf(job)}<//>`}
    <${Field} label="Priority">${number(job.priority ?? 0)}<//>
    ${job.workerId && html`<${Field} label="Worker"><span class="v-mono">${job.workerId}</span><//>`}
    ${job.heartbeat > 0 && html`<${Field} label="Last heartbeat"><${Time} at=${job.heartbeat} /><//>`}
    ${job.timeoutMs !== undefined && html`<${Field} label="Time for one attempt">${duration(job.timeoutMs)}<//>`}
    ${job.retry && html`<${Field} label="Waits between attempts">${retryOf(job.retry)}<//>`}
    <${Field} label="Result">${job.keepResult ? "kept" : "not kept"}<//>
  </dl>`;
}

function attemptsOf({ attempts, maxAttempts }) {
  return `${number(attempts)} of ${maxAttempts > 0 ? number(maxAttempts) : "3"}`;
}

// What is as usual is left out of what the broker answers.
function retryOf({ baseMs = 1_000, factor = 2, maxMs = 3_600_000, jitter = 0.25 }) {
  if (baseMs === 0) return "no time";
  const said = [`${duration(baseMs)} first`, `then ${number(factor)} times as long each`, `at most ${duration(maxMs)}`];
  return [...said, ...(jitter > 0 ? [`up to ${number(jitter * 100)} % less`] : [])].join(", ");
}
