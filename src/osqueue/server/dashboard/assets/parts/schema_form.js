// A form for a JSON value, as data/form.js describes it. What is in it is data: it is shown as text.

import { Button } from "./button.js";
import { Exact, isNumber, parse, stringify } from "../data/exact.js";
import { canShow, initialOf, withField } from "../data/form.js";
import { classes, html, useEffect, useId, useState } from "./html.js";

/** `onChange(value)`: undefined is a field that is left out. */
export function SchemaForm({ form, value, onChange }) {
  return html`<div class="v-form"><${AnyField} field=${form} value=${value} onChange=${onChange} bare /></div>`;
}

function AnyField({ field, value, onChange, bare = false }) {
  const id = useId();
  const kind = canShow(field, value) ? field.kind : "json";
  const Input = INPUTS[kind];
  if (bare && kind === "object") return html`<${Input} field=${field} value=${value} onChange=${onChange} />`;
  if (kind === "object" || kind === "list") {
    return html`<fieldset class="v-fieldset">
      <legend>${field.label || "items"}<${Mark} field=${field} /></legend>
      <${Help} field=${field} />
      <${Input} field=${field} value=${value} onChange=${onChange} />
    </fieldset>`;
  }
  return html`<div class=${classes("v-field", kind === "boolean" && !field.optional && !field.nullable && "v-field-boolean")}>
    <label class="label" for=${id}>${field.label || "value"}<${Mark} field=${field} /></label>
    <${Input} id=${id} field=${field} value=${value} onChange=${onChange} />
    <${Help} field=${field} />
  </div>`;
}

function Mark({ field }) {
  return field.optional ? html` <span class="muted">optional</span>` : null;
}

function Help({ field }) {
  const said = [field.help, field.format, field.optional && field.preset !== undefined && field.preset !== null && `else ${JSON.stringify(field.preset)}`];
  const text = said.filter(Boolean).join(" · ");
  return text === "" ? null : html`<p class="v-help">${text}</p>`;
}

/** What stands for nothing written: left out, null, or an empty text. */
function nothing(field, empty) {
  if (field.optional) return undefined;
  return field.nullable ? null : empty;
}

function TextInput({ id, field, value, onChange }) {
  const write = (event) => onChange(event.target.value === "" ? nothing(field, "") : event.target.value);
  return html`<input id=${id} class="input input-whole" type="text" value=${value ?? ""} autocomplete="off" spellcheck="false" onInput=${write} />`;
}

// The text is its own while it is being written: 1.0 is on the way to 1.05.
function NumberInput({ id, field, value, onChange }) {
  const [text, setText] = useState(shown(value));
  useEffect(() => {
    if (Number(text) !== value || text === "") setText(shown(value));
  }, [value]);
  const write = (event) => {
    setText(event.target.value);
    const next = event.target.valueAsNumber;
    onChange(Number.isNaN(next) ? nothing(field, undefined) : said(next, event.target.value));
  };
  return html`<input id=${id} class="input input-whole" type="number" step=${field.whole ? 1 : "any"}
    min=${field.min} max=${field.max} value=${text} onInput=${write} />`;
}

function shown(value) {
  return isNumber(value) ? String(value) : "";
}

/** The number that was written; one that is too large to be reckoned with, by its digits. */
function said(next, text) {
  return /^-?[1-9]\d*$/.test(text) && !Number.isSafeInteger(next) ? new Exact(text) : next;
}

function BooleanInput({ id, field, value, onChange }) {
  if (!field.optional && !field.nullable) {
    return html`<input id=${id} type="checkbox" checked=${value === true} onChange=${(event) => onChange(event.target.checked)} />`;
  }
  return html`<${Choices} id=${id} field=${field} choices=${[true, false]} value=${value} onChange=${onChange} />`;
}

function ChoiceInput({ id, field, value, onChange }) {
  return html`<${Choices} id=${id} field=${field} choices=${field.choices} value=${value} onChange=${onChange} />`;
}

function Choices({ id, field, choices, value, onChange }) {
  const place = choices.findIndex((choice) => JSON.stringify(choice) === JSON.stringify(value));
  const pick = (event) => {
    const chosen = Number(event.target.value);
    onChange(chosen < 0 ? nothing(field, undefined) : choices[chosen]);
  };
  return html`<select id=${id} class="select" value=${String(place)} onChange=${pick}>
    ${(place < 0 || field.optional || field.nullable) && html`<option value="-1">–</option>`}
    ${choices.map((choice, index) => html`<option key=${index} value=${String(index)}>
      ${typeof choice === "string" ? choice : JSON.stringify(choice)}
    </option>`)}
  </select>`;
}

function ListInput({ field, value, onChange }) {
  const items = value ?? [];
  const set = (place) => (item) => onChange(items.map((each, index) => (index === place ? (item ?? initialOf(field.item)) : each)));
  const remove = (place) => () => onChange(items.filter((_, index) => index !== place));
  return html`
    ${items.map((item, place) => html`<div key=${place} class="v-item">
      <${AnyField} field=${{ ...field.item, label: `${place + 1}` }} value=${item} onChange=${set(place)} />
      <${Button} kind="quiet" aria-label=${`Remove item ${place + 1}`} onClick=${remove(place)}>×<//>
    </div>`)}
    <${Button} kind="quiet" onClick=${() => onChange([...items, initialOf(field.item)])}>Add an item<//>`;
}

function ObjectInput({ field, value, onChange }) {
  if (value === undefined || value === null) {
    return html`<${Button} kind="quiet" onClick=${() => onChange(initialOf({ ...field, preset: undefined, nullable: false }))}>Fill in<//>`;
  }
  return html`
    ${field.fields.map((each) => html`<${AnyField}
      key=${each.name} field=${each.field} value=${Object.hasOwn(value, each.name) ? value[each.name] : undefined}
      onChange=${(item) => onChange(withField(value, field, each.name, item))}
    />`)}
    ${(field.optional || field.nullable) && html`<${Button} kind="quiet" onClick=${() => onChange(nothing(field))}>Leave out<//>`}`;
}

function JsonInput({ id, field, value, onChange }) {
  const [text, setText] = useState(written(value));
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    if (wrong === "" && !says(text, value)) setText(written(value));
  }, [value]);
  const write = (event) => {
    setText(event.target.value);
    if (event.target.value.trim() === "") return onChange(nothing(field, undefined));
    try {
      onChange(parse(event.target.value));
      setWrong("");
    } catch (error) {
      setWrong(error.message);
    }
    return undefined;
  };
  return html`<textarea id=${id} class="textarea v-json" rows="3" spellcheck="false"
    aria-invalid=${String(wrong !== "")} value=${text} onInput=${write}></textarea>
    ${wrong && html`<p class="v-wrong">${wrong}</p>`}`;
}

function written(value) {
  return value === undefined ? "" : stringify(value, 2);
}

function says(text, value) {
  try {
    return stringify(parse(text)) === stringify(value);
  } catch {
    return text.trim() === "" && value === undefined;
  }
}

const INPUTS = {
  text: TextInput,
  number: NumberInput,
  boolean: BooleanInput,
  choice: ChoiceInput,
  list: ListInput,
  object: ObjectInput,
  json: JsonInput,
};
