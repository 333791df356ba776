// What can be done with the jobs that are chosen: some by their ids, or the whole of a filter.

import { ACTIONS, openBulk } from "../../parts/bulk.js";
import { actOnFilter, actOnIds, actOnPages } from "../../data/bulk.js";
import { actionsOn, condition, describe, pageRequest } from "../../data/filters.js";
import { api } from "../../data/api.js";
import { number, plural } from "../../data/format.js";
import { Button, html } from "../../parts/ui.js";

/** Nothing is chosen. */
export const NOBODY = { ids: new Set(), whole: false };

/** The bar of actions; nothing while nothing is chosen. */
export function Chosen({ filter, chosen, onChoose, jobs, counted, onDone }) {
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
  const count = (status) => api.get("v1/count", condition({ ...filter, status }), { signal });
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
