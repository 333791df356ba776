// The dead letters, grouped by what they failed with: what is wrong, with how many, since when; and
// what can be done about all of a group.

import { ACTIONS, openBulk } from "../parts/bulk.js";
import { actOnFilter, actOnGroup } from "../data/bulk.js";
import { api } from "../data/api.js";
import { href } from "../data/routes.js";
import { mergedGroups, searchOf, typesOf } from "../data/groups.js";
import { number, plural } from "../data/format.js";
import { store } from "../data/store.js";
import { Button, Empty, ErrorBox, Page, Skeleton, Time, classes, html, may, useCallback, useEffect, useState } from "../parts/ui.js";

const LOOK_MS = 2_000;
const REST_LOOKS = 5; // without news it is looked after only every so often
const MINUTE_MS = 60_000; // closer together, first and last read the same
const IDS_STEP = 20;

export default function Dead() {
  const { groups, total, error, reload } = useGroups();
  const actions = may("admin") && total > 0 && html`<${ForAll} total=${total} onDone=${reload} />`;
  const subtitle = total === undefined ? "\u00a0" : total === 0 ? "none" : `${plural(total, "job")} out of attempts, or failed for good`;
  return html`<${Page} title="Dead letters" subtitle=${subtitle} actions=${actions}>
    ${error && html`<${ErrorBox} error=${error} onRetry=${reload} />`}
    ${groups ? html`<${Groups} groups=${groups} onDone=${reload} />` : !error && html`<${Skeleton} lines=${6} />`}
  <//>`;
}

function useGroups() {
  const [shown, setShown] = useState({});
  const look = useCallback(async (signal, anew) => {
    try {
      const { groups, total } = await api.get("v1/dead/groups", {}, { signal });
      if (signal?.aborted) return;
      setShown((before) => ({ groups: anew || !before.groups ? groups : mergedGroups(before.groups, groups), total }));
    } catch (error) {
      if (!signal?.aborted) setShown((before) => ({ ...before, error }));
    }
  }, []);
  useEffect(() => {
    const controller = new AbortController();
    look(controller.signal);
    const stop = everyChange(() => look(controller.signal));
    return () => {
      stop();
      controller.abort();
    };
  }, [look]);
  return { ...shown, reload: () => look(undefined, true) };
}

// When the number of the dead has changed, and now and then.
function everyChange(look) {
  let seen = store.get().overview?.counts?.dead;
  let rests = 0;
  const timer = setInterval(() => {
    const dead = store.get().overview?.counts?.dead;
    rests = dead === seen ? rests + 1 : 0;
    if (document.hidden || store.get().connection.state === "stale" || rests % REST_LOOKS !== 0) return;
    seen = dead;
    look();
  }, LOOK_MS);
  return () => clearInterval(timer);
}

function ForAll({ total, onDone }) {
  const ask = (kind) => () => openBulk({
    kind,
    what: "all dead letters",
    preview: async () => ({ count: total }),
    act: (action, options) => actOnFilter(api, action, { status: "dead" }, options),
    onDone,
  });
  return html`
    <${Button} onClick=${ask("retry")}>Retry all…<//>
    <${Button} kind="danger" onClick=${ask("discard")}>Discard all…<//>`;
}

const HINT = "A job that is out of attempts, or failed for good, is kept here until it is queued again or discarded.";

function Groups({ groups, onDone }) {
  if (groups.length === 0) return html`<${Empty} title="No dead letters" hint=${HINT} />`;
  return html`<ul class="v-groups">${groups.map((group) => html`<${Group} key=${group.key} group=${group} onDone=${onDone} />`)}</ul>`;
}

function Group({ group, onDone }) {
  const [open, setOpen] = useState(false);
  const gone = group.count === 0;
  return html`<li class=${classes("v-group card", gone && "v-stale")}>
    <div class="v-group-head">
      <span class="v-group-count">${number(group.count)}</span>
      <div class="v-group-what">
        <p class="v-group-type">${group.errorType || "no error told"}</p>
        <p class="v-group-message">${group.message}</p>
        <p class="v-group-facts">
          ${gone ? "none is left" : html`<${Facts} group=${group} />`}
        </p>
      </div>
      <div class="v-group-actions">
        ${!gone && may("admin") && html`<${ForGroup} group=${group} onDone=${onDone} />`}
        ${!gone && html`<${Button} kind="quiet" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>${open ? "Fold" : "Jobs"}<//>`}
      </div>
    </div>
    ${open && !gone && html`<${Jobs} group=${group} />`}
  </li>`;
}

function Facts({ group }) {
  return html`
    ${typesOf(group).slice(0, 5).map(([type, count]) => html`<span key=${type} class="v-tag">${type || "untyped"} <b>${number(count)}</b></span>`)}
    <span>last <${Time} at=${group.newest} /></span>
    ${group.newest - group.oldest >= MINUTE_MS && html`<span>first <${Time} at=${group.oldest} /></span>`}`;
}

function ForGroup({ group, onDone }) {
  const types = typesOf(group).map(([type, count]) => `${number(count)} ${type || "untyped"}`).slice(0, 8).join(", ");
  const ask = (kind) => () => openBulk({
    kind,
    what: `all with ${group.errorType || "no error"}`,
    preview: async () => ({ count: group.count, note: types }),
    act: (action, options) => actOnGroup(api, action, group.key, options),
    onDone,
  });
  return html`
    <${Button} onClick=${ask("retry")}>Retry…<//>
    <${Button} kind="danger" onClick=${ask("discard")}>Discard…<//>`;
}

// The jobs of a group: their ids are known, what else there is to tell is asked for as they are shown.

function Jobs({ group }) {
  const [count, setCount] = useState(IDS_STEP);
  const ids = group.jobIds.slice(0, count);
  const details = useDetails(ids);
  return html`<div class="v-group-jobs">
    <ul class="v-ids">
      ${ids.map((id) => html`<li key=${id}>
        <a class="v-mono v-cut" href=${href(["jobs", id])}>${id}</a>
        <${Detail} job=${details.get(id)} />
      </li>`)}
    </ul>
    <p class="v-foot">
      ${group.jobIds.length > count && html`<${Button} kind="quiet" onClick=${() => setCount(count + 5 * IDS_STEP)}>Show more<//>`}
      <a href=${href("jobs", { status: "dead", text: searchOf(group) })}>Find them among the jobs</a>
    </p>
  </div>`;
}

function Detail({ job }) {
  if (job === undefined) return html`<span class="muted">\u00a0</span>`;
  if (job === null) return html`<span class="muted">not there any more</span>`;
  const said = [job.type || "untyped", plural(job.attempts ?? 0, "attempt"), job.lastError?.message];
  return html`<span class="v-cut muted">${said.filter(Boolean).join(" · ")}</span>`;
}

function useDetails(ids) {
  const [details, setDetails] = useState(new Map());
  useEffect(() => {
    const controller = new AbortController();
    const ask = async () => {
      for (const id of ids.filter((each) => !details.has(each))) {
        const job = await api.get(`v1/jobs/${encodeURIComponent(id)}`, {}, { signal: controller.signal }).catch(() => null);
        if (controller.signal.aborted) return;
        setDetails((before) => new Map(before).set(id, job));
      }
    };
    ask();
    return () => controller.abort();
  }, [ids.join()]);
  return details;
}
