// The fields of the filter. What they say stands in the address, and nowhere else.

import { ANY, ENDED, QUEUED, isEnded, isNarrow } from "../../data/filters.js";
import { go } from "../../data/routes.js";
import { useStore } from "../../data/store.js";
import { Button, Segments, classes, html, useEffect, useRef, useState } from "../../parts/ui.js";

const TYPING_MS = 300;
const TYPES_MAX = 200;

const STATUS_LABELS = { "": "All", ready: "Ready", delayed: "Delayed", waiting: "Waiting", in_progress: "In progress", dead: "Dead", ended: "Ended" };
const STATUSES = ["", ...QUEUED, "ended"].map((value) => ({ value, label: STATUS_LABELS[value] }));

export function Filters({ filter }) {
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
