// The queue as a whole: what waits, by type; whether it is paused; which schedules come next.

import { api } from "../data/api.js";
import { OTHER, depthsOf } from "../data/depths.js";
import { href } from "../data/routes.js";
import { number, plural } from "../data/format.js";
import { useSchedules } from "../parts/schedules.js";
import { useStore } from "../data/store.js";
import {
  Badge, Bar, Button, Card, Empty, ErrorBox, Field, Page, Skeleton, Stat, Time, confirm, html, may, toast, useState,
} from "../parts/ui.js";

export default function Queue() {
  const counts = useStore((state) => state.overview?.counts);
  const types = useStore((state) => state.overview?.types);
  useStore((state) => state.session);
  if (!counts) return html`<${Page} title="Queue"><${Skeleton} lines=${8} /><//>`;
  return html`<${Page}
    title="Queue"
    subtitle=${html`<${Badge} kind=${counts.paused ? "warn" : "ok"}>${counts.paused ? "paused" : "running"}<//>`}
    actions=${may("admin") && html`<${Pause} counts=${counts} />`}
  >
    ${counts.paused && html`<p class="v-warning">The queue is paused: no job is handed out. Jobs that run go on, and others can still be submitted.</p>`}
    <${Counts} counts=${counts} />
    <${Card} title="Depth by type" kind="flush"><${Depths} types=${types} /><//>
    <${Card} title="Schedules" aside=${html`<a href=${href("schedules")}>All schedules</a>`}><${Next} /><//>
  <//>`;
}

const QUESTIONS = {
  pause: "Workers get no more jobs until it is resumed. Those that run go on, and jobs can still be submitted.",
  resume: "Workers get jobs again at once.",
};

function Pause({ counts }) {
  const [busy, setBusy] = useState(false);
  const verb = counts.paused ? "resume" : "pause";
  const word = counts.paused ? "Resume" : "Pause";
  const act = async () => {
    const agreed = await confirm(`${QUESTIONS[verb]} ${plural(counts.ready ?? 0, "job is", "jobs are")} ready.`, `${word} the queue`, {
      title: `${word} the queue?`,
    });
    if (!agreed) return;
    setBusy(true);
    try {
      await api.post(`v1/${verb}`);
      toast(counts.paused ? "The queue runs again." : "The queue is paused.");
    } catch (error) {
      toast(error.message, "bad");
    }
    setBusy(false);
  };
  return html`<${Button} kind=${counts.paused ? "primary" : undefined} busy=${busy} onClick=${act}>${word}…<//>`;
}

const NEXT_MAX = 5;

function Next() {
  const { schedules, error, reload } = useSchedules();
  if (!schedules) return error ? html`<${ErrorBox} error=${error} onRetry=${reload} />` : html`<${Skeleton} lines=${2} />`;
  const coming = schedules.filter(({ nextAt }) => nextAt !== undefined).slice(0, NEXT_MAX);
  if (coming.length === 0) return html`<${Empty} title=${schedules.length ? "None of them comes" : "No schedules yet"} hint="Jobs that come by the clock stand here." />`;
  return html`<dl class="fields v-next">${coming.map(({ name, nextAt, when }) => html`<${Field}
    key=${name}
    label=${html`<a class="v-mono v-cut" href=${href(["schedules", name])}>${name}</a>`}
  ><${Time} at=${nextAt} /> <span class="muted">${when}</span><//>`)}</dl>`;
}

function Counts({ counts }) {
  const link = (status, label) => html`<a href=${href("jobs", { status })}>${label}</a>`;
  const oldest = counts.oldestReadyAt && html`oldest <${Time} at=${counts.oldestReadyAt} />`;
  return html`<div class="stats v-counts">
    <${Stat} label="Ready" value=${number(counts.ready)} note=${oldest ?? link("ready", "jobs")} />
    <${Stat} label="Delayed" value=${number(counts.delayed)} note=${html`${link("delayed", "jobs")}${counts.waiting > 0 && html` · ${link("waiting", `${number(counts.waiting)} wait for others`)}`}`} />
    <${Stat} label="In progress" value=${number(counts.inProgress)} note=${link("in_progress", "jobs")} />
    <${Stat} label="Dead letters" value=${number(counts.dead)} note=${html`<a href="#/dead">by error</a>`} kind=${counts.dead > 0 ? "bad" : undefined} />
    <${Stat} label="Completed" value=${number(counts.completedTotal)} note=${link("completed", "jobs")} />
    <${Stat} label="Claims that wait" value=${number(counts.waitingClaims)} note=${counts.paused ? "until it is resumed" : "of workers, for jobs"} />
  </div>`;
}

function Depths({ types }) {
  const rows = depthsOf(types);
  if (rows.length === 0) return html`<${Empty} title="Nothing in the queue" hint="Types are listed while there are jobs of them." />`;
  const most = Math.max(...rows.map((row) => row.total));
  return html`<table class="v-depths">
    <thead><tr>
      <th scope="col">Type</th>
      <th scope="col" class="v-depth-bar"><span class="visually-hidden">Share</span></th>
      ${["Ready", "In progress", "Dead"].map((title) => html`<th key=${title} scope="col" class="is-end">${title}</th>`)}
    </tr></thead>
    <tbody>${rows.map((row) => html`<${Depth} key=${`type ${row.type}`} row=${row} most=${most} />`)}</tbody>
  </table>`;
}

function Depth({ row, most }) {
  const { ready, inProgress, dead } = row;
  const linked = row.type !== "" && row.type !== OTHER;
  const parts = [{ kind: "ready", value: ready }, { kind: "inProgress", value: inProgress }, { kind: "dead", value: dead }];
  return html`<tr>
    <th scope="row">${linked ? html`<a href=${href("jobs", { type: row.type })}>${row.type}</a>` : html`<span class="muted">${row.label}</span>`}</th>
    <td class="v-depth-bar"><${Bar} parts=${parts} of=${most} label=${`${number(row.total)} jobs`} /></td>
    <td class="is-end">${number(ready)}</td>
    <td class="is-end">${number(inProgress)}</td>
    <td class="is-end">${dead > 0 && linked ? html`<a href=${href("jobs", { status: "dead", type: row.type })}>${number(dead)}</a>` : number(dead)}</td>
  </tr>`;
}
