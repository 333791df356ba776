// Any JSON value, folded: only what is open is drawn, so a large one costs what one looks at.

import { html, useState } from "./html.js";
import { Exact } from "../data/exact.js";
import { number } from "../data/format.js";

const CHUNK = 100;
const TEXT_MAX = 400;
const NEST_OPEN = 1;

/** `open`: how deep it is open at first; true is one level. */
export function Json({ value, open = NEST_OPEN, label }) {
  const depth = open === true ? NEST_OPEN : Number(open) || 0;
  return html`<div class="json" role="group" aria-label=${label ?? "JSON"}>
    <${Node} value=${value} depth=${depth} />
  </div>`;
}

function Node({ name, value, depth }) {
  if (value !== null && typeof value === "object" && !(value instanceof Exact)) return html`<${Branch} name=${name} value=${value} depth=${depth} />`;
  return html`<div class="json-line"><${Name} name=${name} /><${Leaf} value=${value} /></div>`;
}

function Branch({ name, value, depth }) {
  const [open, setOpen] = useState(depth > 0);
  const entries = Array.isArray(value) ? value : Object.keys(value);
  if (!entries.length) return html`<div class="json-line"><${Name} name=${name} />${Array.isArray(value) ? "[]" : "{}"}</div>`;
  return html`<div class="json-branch">
    <button type="button" class="json-line json-fold" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
      <span class="json-mark" aria-hidden="true"></span><${Name} name=${name} />
      <span class="json-brief">${briefOf(value, entries.length)}</span>
    </button>
    ${open && html`<div class="json-inside"><${Inside} value=${value} depth=${depth - 1} /></div>`}
  </div>`;
}

function Inside({ value, depth }) {
  const list = Array.isArray(value);
  const [shown, setShown] = useState(CHUNK);
  const keys = list ? Array.from({ length: Math.min(shown, value.length) }, (_, index) => index) : Object.keys(value);
  const length = list ? value.length : keys.length;
  return html`
    ${keys.slice(0, shown).map((key) => html`<${Node} key=${key} name=${String(key)} value=${value[key]} depth=${depth} />`)}
    ${length > shown && html`<button type="button" class="json-more" onClick=${() => setShown(shown + 10 * CHUNK)}>
      ${number(length - shown)} more
    </button>`}`;
}

function Leaf({ value }) {
  const [whole, setWhole] = useState(false);
  if (typeof value !== "string") return html`<span class=${`json-${kindOf(value)}`}>${String(value)}</span>`;
  const cut = value.length > TEXT_MAX && !whole;
  return html`<span class="json-string">"${cut ? value.slice(0, TEXT_MAX) : value}"</span>
    ${cut && html`<button type="button" class="json-more" onClick=${() => setWhole(true)}>${number(value.length - TEXT_MAX)} more characters</button>`}`;
}

function kindOf(value) {
  if (value === null) return "null";
  return value instanceof Exact ? "number" : typeof value;
}

function Name({ name }) {
  return name === undefined ? null : html`<span class="json-name">${name}</span>`;
}

function briefOf(value, length) {
  return Array.isArray(value) ? `[${number(length)}]` : `{${number(length)}}`;
}
