// To try a queue out: a producer, whose form is made from the schema of the type, and a worker that
// lives in this page. Both go on while one looks at other views.

import { CONCURRENCY_MAX, shareOf } from "../data/browser_worker.js";
import { EVERY_MS_MIN } from "../data/producer.js";
import { SchemaForm } from "../parts/schema_form.js";
import { api } from "../data/api.js";
import { draftOf, jobOf, troubles, withText, withValue } from "../data/draft.js";
import { duration, number } from "../data/format.js";
import { giveBackAtEnd, producer, worker } from "../data/playground.js";
import { href } from "../data/routes.js";
import { statusOf } from "../data/rows.js";
import { useStore } from "../data/store.js";
import {
  Badge, Button, Card, Empty, ErrorBox, Page, Progress, Segments, Skeleton, Time, html, may, now, useEffect, useLoad, useMemo, useState,
} from "../parts/ui.js";

const TYPE = "playground";
const REFRESH_MS = 1_000;
const DRAW_MS = 250;
const TYPES_MAX = 200;

giveBackAtEnd();

export default function Playground() {
  useStore((state) => state.session);
  const types = useTypes();
  return html`<${Page} title="Playground" subtitle="submit jobs, and work on them">
    ${!types.known && html`<${Skeleton} lines=${8} />`}
    ${types.known && html`<div class="v-playground">
      ${may("produce") ? html`<${Producing} types=${types} />` : html`<${Forbidden} title="Producer" what="submit jobs" />`}
      ${may("work") ? html`<${Working} types=${types} />` : html`<${Forbidden} title="Worker" what="work on jobs" />`}
    </div>`}
  <//>`;
}

function Forbidden({ title, what }) {
  return html`<${Card} title=${title}><${Empty} title=${`Your role may not ${what}`} /><//>`;
}

/** The types that somebody told of, with their schemas, and those of which there are jobs. */
function useTypes() {
  const told = useLoad((signal) => api.get("v1/types", {}, { signal }), []);
  const depths = useStore((state) => state.overview?.types);
  return useMemo(() => {
    const schemas = new Map(Object.entries(told.data?.types ?? {}).map(([name, { schema }]) => [name, schema]));
    const names = new Set([...schemas.keys(), ...Object.keys(depths ?? {}), TYPE]);
    names.delete("");
    return { names: [...names].sort().slice(0, TYPES_MAX), schemas, known: Boolean(told.data ?? told.error) };
  }, [told.data, told.error, depths]);
}

/** A store's state; drawn anew when it changes. */
function useWatched(watched) {
  const [, redraw] = useState({});
  useEffect(() => watched.subscribe(() => redraw({})), [watched]);
  return watched.get();
}

// The producer

const OPTIONS = { priority: "", delayS: "", maxAttempts: "", keepResult: false };

function Producing({ types }) {
  const [type, setType] = useState(TYPE);
  const [draft, setDraft] = useDraft(type, types.schemas.get(type));
  const [options, setOptions] = useState(OPTIONS);
  const wrong = troubles(draft);
  const make = () => jobOf(type, draft, options, now());
  return html`<${Card} title="Producer">
    <label class="v-field">
      <span class="label">Type</span>
      <input class="input input-whole" list="v-play-types" value=${type} maxlength="256" autocomplete="off" spellcheck="false"
        onInput=${(event) => setType(event.target.value)} />
      <datalist id="v-play-types">${types.names.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
    </label>
    <${Payload} draft=${draft} onChange=${setDraft} wrong=${wrong} />
    <${Options} options=${options} onChange=${setOptions} />
    <${Sending} make=${make} wrong=${wrong} />
    <${Sent} />
  <//>`;
}

/** The payload of a type: another type, or a schema that has come, begins anew. */
function useDraft(type, schema) {
  const key = `${type}\n${JSON.stringify(schema)}`;
  const [kept, setKept] = useState(() => ({ key, draft: draftOf(schema) }));
  const current = kept.key === key ? kept : { key, draft: draftOf(schema) };
  useEffect(() => {
    if (kept.key !== key) setKept(current);
  }, [key]);
  return [current.draft, (draft) => setKept({ key, draft })];
}

const WAYS = [{ value: "form", label: "Form" }, { value: "json", label: "JSON" }];

function Payload({ draft, onChange, wrong }) {
  const [way, setWay] = useState("form");
  const hasForm = draft.schema !== undefined && draft.form.kind !== "json";
  const asJson = !hasForm || way === "json" || draft.error !== undefined;
  return html`<div class="v-payload">
    <div class="v-payload-head">
      <span class="label">Payload</span>
      ${hasForm && html`<${Segments} label="Write it as" options=${WAYS} value=${asJson ? "json" : "form"} onChange=${setWay} />`}
    </div>
    ${asJson
      ? html`<textarea class="textarea v-json" rows="7" aria-label="Payload as JSON" spellcheck="false" aria-invalid=${String(wrong.length > 0)}
          value=${draft.text} onInput=${(event) => onChange(withText(draft, event.target.value))}></textarea>`
      : html`<${SchemaForm} form=${draft.form} value=${draft.value} onChange=${(value) => onChange(withValue(draft, value))} />`}
    <ul class="v-wrongs" role="status">
      ${wrong.slice(0, 5).map(({ path, message }) => html`<li key=${path + message} class="v-wrong">${path && html`<code>${path}</code> `}${message}</li>`)}
    </ul>
  </div>`;
}

function Options({ options, onChange }) {
  const change = (name) => (event) => onChange({ ...options, [name]: event.target.value });
  return html`<details class="v-options"><summary>Priority, delay, attempts</summary>
    <div class="v-row">
      <${NumberField} label="Priority, lower first" value=${options.priority} placeholder="0" onInput=${change("priority")} />
      <${NumberField} label="Delay, s" value=${options.delayS} min="0" step="any" placeholder="0" onInput=${change("delayS")} />
      <${NumberField} label="Attempts" value=${options.maxAttempts} min="0" placeholder="3" onInput=${change("maxAttempts")} />
      <label class="v-check">
        <input type="checkbox" checked=${options.keepResult}
          onChange=${(event) => onChange({ ...options, keepResult: event.target.checked })} />
        <span>Keep the result</span>
      </label>
    </div>
  </details>`;
}

function NumberField({ label, ...rest }) {
  return html`<label class="v-field v-short"><span class="label">${label}</span><input class="input input-whole" type="number" ...${rest} /></label>`;
}

function Sending({ make, wrong }) {
  const { series, submitted, behind, error } = useWatched(producer.state);
  const [everyMs, setEveryMs] = useState("500");
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState();
  const every = Number(everyMs);
  const submit = async () => {
    setBusy(true);
    setRefused(await producer.submit(make()).then(() => undefined, (failure) => failure));
    setBusy(false);
  };
  const toggle = () => (series ? producer.stop() : producer.start(make, every));
  return html`
    <div class="v-row v-send">
      <${Button} kind="primary" busy=${busy} disabled=${wrong.length > 0} onClick=${submit}>Submit<//>
      <span class="v-every">
        <${NumberField} label="Repeat, ms" value=${everyMs} min=${EVERY_MS_MIN} disabled=${series > 0} onInput=${(event) => setEveryMs(event.target.value)} />
        <${Button} disabled=${!series && (wrong.length > 0 || !(every >= EVERY_MS_MIN))} onClick=${toggle}>${series ? "Stop" : "Start"}<//>
      </span>
    </div>
    <p class="v-counter" role="status">
      ${number(submitted)} submitted${series > 0 && `, one every ${duration(series)}`}
      ${behind > 0 && html`<span class="v-bad">${` · ${number(behind)} left out as the broker did not keep up`}</span>`}
    </p>
    ${(refused ?? error) && html`<${ErrorBox} error=${refused ?? error} />`}`;
}

function Sent() {
  const { recent } = useWatched(producer.state);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || producer.refresh(), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  if (recent.length === 0) return null;
  return html`<ul class="v-ids" aria-label="The last jobs submitted">
    ${recent.map((job) => html`<li key=${job.id}>
      <a class="v-mono v-cut" href=${href(["jobs", job.id])}>${job.id}</a>
      <span class="v-ids-at"><${Time} at=${job.at} /></span>
      <${Badge} kind=${statusOf(job, now())} />
    </li>`)}
  </ul>`;
}

// The worker

function Working({ types }) {
  const state = useWatched(worker.state);
  const [settings, setSettings] = useState({ types: [TYPE], any: false, concurrency: "2", durationMs: "3000", failure: "10" });
  const running = state.state !== "stopped";
  const ready = settings.any || settings.types.length > 0;
  const toggle = () => (running ? worker.stop() : worker.start(said(settings)));
  return html`<${Card} title="Worker" aside=${html`<${Badge} kind=${running ? "ok" : "plain"}>${state.state}<//>`}>
    <p class="v-warning">
      It does nothing with the jobs that it claims, and then completes or fails them: choose types of
      which nobody waits for a job to be done.
    </p>
    <fieldset class="v-fieldset" disabled=${running}>
      <legend>Types</legend>
      <${TypeChoice} names=${types.names} settings=${settings} onChange=${setSettings} />
    </fieldset>
    <fieldset class="v-row v-plain" disabled=${running}>
      <${WorkerNumber} label="At once" name="concurrency" min="1" max=${CONCURRENCY_MAX} settings=${settings} onChange=${setSettings} />
      <${WorkerNumber} label="Takes about, ms" name="durationMs" min="0" settings=${settings} onChange=${setSettings} />
      <${WorkerNumber} label="Fails, %" name="failure" min="0" max="100" settings=${settings} onChange=${setSettings} />
    </fieldset>
    <div class="v-row v-send">
      <${Button} kind=${running ? undefined : "primary"} busy=${state.state === "stopping"}
        disabled=${!running && !ready} onClick=${toggle}>${running ? "Stop" : "Start"}<//>
      ${running && html`<span class="v-mono muted v-cut">${state.workerId}</span>`}
    </div>
    ${state.error && html`<${ErrorBox} error=${state.error} />`}
    <${Doing} state=${state} />
  <//>`;
}

function said({ types, any, concurrency, durationMs, failure }) {
  const failureRate = Number(failure) / 100;
  return { types: any ? [] : types, concurrency: Number(concurrency), durationMs: Number(durationMs), failureRate };
}

function WorkerNumber({ label, name, settings, onChange, ...rest }) {
  const write = (event) => onChange({ ...settings, [name]: event.target.value });
  return html`<${NumberField} label=${label} value=${settings[name]} onInput=${write} ...${rest} />`;
}

function TypeChoice({ names, settings, onChange }) {
  const { types, any } = settings;
  const toggle = (name) => () => {
    onChange({ ...settings, types: types.includes(name) ? types.filter((each) => each !== name) : [...types, name] });
  };
  return html`<div class="v-types">
    ${names.map((name) => html`<label key=${name} class="v-check">
      <input type="checkbox" checked=${any || types.includes(name)} disabled=${any} onChange=${toggle(name)} />
      <span class="v-cut">${name}</span>
    </label>`)}
    <label class="v-check"><input type="checkbox" checked=${any} onChange=${() => onChange({ ...settings, any: !any })} /> any type</label>
  </div>`;
}

function Doing({ state }) {
  const { jobs, processed, failed, lost } = state;
  useDrawn(jobs.length > 0);
  const present = Date.now();
  return html`
    <dl class="v-figures" aria-label="What it has done">
      <div><dt>active</dt><dd>${number(jobs.length)}</dd></div>
      <div><dt>processed</dt><dd>${number(processed)}</dd></div>
      <div><dt>failed</dt><dd>${number(failed)}</dd></div>
      <div><dt>lost</dt><dd>${number(lost)}</dd></div>
    </dl>
    <ul class="v-working">
      ${jobs.map((job) => html`<li key=${job.lease}>
        <a class="v-mono v-cut" href=${href(["jobs", job.jobId])}>${job.jobId}</a>
        <span class="muted v-cut">${job.type || "untyped"}${job.attempt > 1 && `, attempt ${job.attempt}`}</span>
        <${Progress} done=${Math.floor(shareOf(job, present) * 100)} total=${100} />
      </li>`)}
    </ul>`;
}

/** Drawn anew, often, while something moves. */
function useDrawn(moves) {
  const [, redraw] = useState({});
  useEffect(() => {
    if (!moves) return undefined;
    const timer = setInterval(() => redraw({}), DRAW_MS);
    return () => clearInterval(timer);
  }, [moves]);
}
