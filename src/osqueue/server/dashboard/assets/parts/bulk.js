// One action on many jobs: what it would do, how far it is, and what has become of it.

import { Button } from "./button.js";
import { Dialog, openDialog } from "./dialog.js";
import { ErrorBox } from "./empty.js";
import { Progress } from "./progress.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { number, plural } from "../data/format.js";

/** What the actions are called: on the button, and when they are done. */
export const ACTIONS = {
  retry: { word: "Retry", done: "queued again", hint: "They run again, with all their attempts." },
  cancel: { word: "Cancel", done: "cancelled", danger: true, hint: "Those that run are stopped. This can't be undone." },
  discard: { word: "Discard", done: "discarded", danger: true, hint: "Their payloads are gone with them. This can't be undone." },
  setPriority: { word: "Set priority of", done: "have the new priority", hint: "Lower runs first; they go behind those that have it already." },
};

const PRIORITY_MAX = 2 ** 53 - 1;

/**
 * Ask, and do it. `what`: in words, "dead letters of type email:send"; `preview()` answers
 * `{count, atLeast?, note?}`; `act(action, {onProgress, signal})` does it (see data/bulk.js).
 */
export function openBulk({ kind, what, preview, act, onDone = () => {} }) {
  openDialog((close) => html`<${BulkDialog} kind=${kind} what=${what} preview=${preview} act=${act} onClose=${close} onDone=${onDone} />`);
}

function BulkDialog({ kind, what, preview, act, onClose, onDone }) {
  const action = ACTIONS[kind];
  const counted = useCounted(preview);
  const [priority, setPriority] = useState("0");
  const run = useRun(act, onDone);
  const value = Number(priority);
  const valid = kind !== "setPriority" || (priority.trim() !== "" && Number.isInteger(value) && Math.abs(value) <= PRIORITY_MAX);
  const asked = { action: kind === "discard" ? "cancel" : kind, ...(kind === "setPriority" && { priority: value }) };
  const title = `${action.word} ${what}`;
  const close = () => {
    run.stop();
    onClose();
  };
  return html`<${Dialog} title=${title} onClose=${close}>
    <${Preview} counted=${counted} action=${action} />
    ${kind === "setPriority" && html`<label class="v-field">
      <span class="label">Priority</span>
      <input class="input" type="number" step="1" value=${priority} disabled=${run.started} onInput=${(event) => setPriority(event.target.value)} />
    </label>`}
    ${run.started && html`<${Outcome} run=${run} action=${action} total=${counted.count} />`}
    <footer class="dialog-actions">
      ${run.over || html`<${Button} onClick=${close} autofocus>${run.started ? "Stop" : "Back"}<//>`}
      ${run.over
        ? html`<${Button} kind="primary" onClick=${close}>Close<//>`
        : html`<${Button} kind=${action.danger ? "danger" : "primary"} busy=${run.started}
            disabled=${!valid || !counted.count} onClick=${() => run.start(asked)}>
            ${buttonText(action, counted)}
          <//>`}
    </footer>
  <//>`;
}

function buttonText({ word }, { count, atLeast }) {
  if (count === undefined) return word;
  return `${word} ${atLeast ? "more than " : ""}${plural(count, "job")}`;
}

function Preview({ counted, action }) {
  if (counted.error) return html`<${ErrorBox} error=${counted.error} />`;
  if (counted.count === undefined) return html`<p class="dialog-text" role="status">Counting…</p>`;
  if (counted.count === 0) return html`<p class="dialog-text">There is none for which this makes sense${counted.note && ` (${counted.note})`}.</p>`;
  return html`<p class="dialog-text">
    <b>${counted.atLeast && "More than "}${plural(counted.count, "job")}</b>${counted.note && `, ${counted.note}`}. ${action.hint}
  </p>`;
}

function Outcome({ run, action, total }) {
  const { done, failures, failed, left } = run.outcome;
  return html`<div class="v-outcome" role="status">
    <${Progress} done=${done + failures} total=${Math.max(total, done + failures)} />
    <p>${number(done)} ${action.done}${failures > 0 && `, ${number(failures)} could not be`}${run.over && left && "; some are left"}.</p>
    ${run.error && html`<${ErrorBox} error=${run.error} />`}
    ${failed.length > 0 && html`<details><summary>What could not be done</summary>
      <ul class="v-failures">${failed.map(({ jobId, error }) => html`<li key=${jobId}><code>${jobId}</code> ${error.message}</li>`)}</ul>
    </details>`}
  </div>`;
}

function useCounted(preview) {
  const [counted, setCounted] = useState({});
  useEffect(() => {
    const controller = new AbortController();
    preview(controller.signal).then(
      (found) => controller.signal.aborted || setCounted(found),
      (error) => controller.signal.aborted || setCounted({ error }),
    );
    return () => controller.abort();
  }, []);
  return counted;
}

const NOTHING = { done: 0, failures: 0, failed: [], left: false };

function useRun(act, onDone) {
  const [run, setRun] = useState({ started: false, over: false, outcome: NOTHING });
  const controller = useRef(new AbortController());
  const start = async (action) => {
    const { signal } = controller.current;
    setRun({ started: true, over: false, outcome: NOTHING });
    const onProgress = (outcome) => setRun({ started: true, over: false, outcome });
    try {
      const outcome = await act(action, { onProgress, signal });
      setRun({ started: true, over: true, outcome });
    } catch (error) {
      const outcome = error.outcome ?? NOTHING;
      setRun({ started: true, over: true, outcome, error: signal.aborted ? undefined : error });
    }
    onDone();
  };
  return { ...run, start, stop: () => controller.current.abort() };
}
