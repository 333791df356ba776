// The workers, how much of them is in use, and what has run longest there.
// Law: every worker has one height, whatever it runs, so that nothing jumps under short jobs.

import { Bar, Button, Card, Elapsed, Empty, Progress, Time, html, useState } from "../../parts/ui.js";
import { NONE, number, plural } from "../../data/format.js";
import { slotsOf, workersInOrder } from "../../data/figures.js";
import { href } from "../../data/routes.js";

const SHOWN = 10;

export function Workers({ workers }) {
  const [all, setAll] = useState(false);
  const list = workersInOrder(workers);
  const more = list.length - SHOWN;
  return html`<${Card} title="Workers" kind="flush" aside=${sumOf(workers)}>
    ${list.length === 0 && html`<${Empty} title="No workers" hint=${html`<code>osqueue worker</code> starts one.`} />`}
    <ul class="workers">
      ${list.slice(0, all ? undefined : SHOWN).map((worker) => html`<${Worker} key=${worker.id} worker=${worker} />`)}
    </ul>
    ${more > 0 && html`<div class="card-foot">
      <${Button} kind="quiet" onClick=${() => setAll(!all)}>${all ? "Show fewer" : `Show ${number(more)} more`}<//>
    </div>`}
  <//>`;
}

function sumOf(workers) {
  const { held, slots, workers: count } = slotsOf(workers);
  const busy = slots ? `${number(held)} of ${number(slots)} slots in use` : `${plural(held, "job")} held`;
  return count ? `${plural(count, "worker")}, ${busy}` : "";
}

function Worker({ worker }) {
  const [open, setOpen] = useState(false);
  const jobs = [...(worker.jobs ?? [])].sort((one, other) => one.since - other.since);
  return html`<li class="worker">
    <button type="button" class="worker-head" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
      <span class="worker-name">
        <span class="truncate">${worker.id}</span>
        <span class="truncate muted">${aboutOf(worker)}</span>
      </span>
      <${Slots} worker=${worker} />
      <span class="worker-runs"><${Longest} jobs=${jobs} held=${worker.held ?? jobs.length} /></span>
      <span class="worker-seen muted is-end"><${Time} at=${worker.seenAt} /></span>
    </button>
    ${open && html`<div class="worker-jobs"><${Jobs} jobs=${jobs} held=${worker.held ?? jobs.length} types=${worker.types} /></div>`}
  </li>`;
}

function aboutOf({ host, pid, version, types }) {
  const place = host && (pid ? `${host}, process ${pid}` : host);
  const kinds = types?.length ? plural(types.length, "type") : undefined;
  return [place, version, kinds].filter(Boolean).join(" · ") || NONE;
}

function Slots({ worker }) {
  const { held = 0, concurrency } = worker;
  const said = concurrency ? `${number(held)} of ${number(concurrency)}` : plural(held, "job");
  return html`<span class="worker-slots">
    <span>${said}</span>
    ${concurrency > 0 && html`<${Bar} parts=${[{ kind: "used", value: held }]} of=${concurrency} label=${said} />`}
  </span>`;
}

function Longest({ jobs, held }) {
  const [job] = jobs;
  if (!job) return html`<span class="muted">${held ? "" : "idle"}</span>`;
  const rest = held > 1 ? ` and ${number(held - 1)} more` : "";
  return html`
    <span class="truncate">${job.type || job.id}<span class="muted">${rest}</span></span>
    <${How} job=${job} />`;
}

function How({ job }) {
  if (job.progress) return html`<${Progress} ...${job.progress} />`;
  return html`<span class="muted truncate">for <${Elapsed} since=${job.since} /></span>`;
}

function Jobs({ jobs, held, types }) {
  const hidden = held - jobs.length;
  return html`
    ${types?.length > 0 && html`<p class="muted">Takes ${types.join(", ")}</p>`}
    ${jobs.length === 0 && html`<p class="muted">It holds no job.</p>`}
    ${jobs.map((job) => html`<div class="worker-job" key=${job.id}>
      <span class="truncate">${job.type || NONE}</span>
      <a class="mono truncate" href=${href(["jobs", job.id])}>${job.id}</a>
      <span>${job.progress && html`<${Progress} ...${job.progress} />`}</span>
      <span class="muted is-end"><${Elapsed} since=${job.since} /></span>
    </div>`)}
    ${hidden > 0 && html`<p class="muted">and ${number(hidden)} more</p>`}`;
}
