// Jobs that come by the clock: when, what was last, and what can be done about each. An address such
// as "#/schedules/nightly" shows one of them above the others.

import { actionsOn, pathOf, standing } from "../data/schedules.js";
import { api } from "../data/api.js";
import { duration, number, plural } from "../data/format.js";
import { go, href } from "../data/routes.js";
import { useSchedules } from "../parts/schedules.js";
import { useStore } from "../data/store.js";
import {
  Badge, Button, Card, Empty, ErrorBox, Field, Json, Page, Skeleton, Table, Time, confirm, html, may, toast, useState,
} from "../parts/ui.js";

export default function Schedules({ params: { id } }) {
  useStore((state) => state.session);
  const { schedules, error, reload } = useSchedules();
  const subtitle = schedules === undefined ? "\u00a0" : schedules.length === 0 ? "none" : plural(schedules.length, "schedule");
  return html`<${Page} title="Schedules" subtitle=${subtitle}>
    ${error && html`<${ErrorBox} error=${error} onRetry=${reload} />`}
    ${schedules && id !== undefined && html`<${Chosen} schedules=${schedules} name=${id} onDone=${reload} />`}
    ${!schedules && !error && html`<${Skeleton} lines=${6} />`}
    ${schedules && html`<${Card} kind="flush"><${All} schedules=${schedules} /><//>`}
  <//>`;
}

// All of them

const COLUMNS = [
  { key: "name", title: "Name", render: ({ name }) => html`<a class="v-mono" href=${href(["schedules", name])}>${name}</a>` },
  { key: "type", title: "Job", hide: "medium", render: ({ type }) => type || html`<span class="muted">untyped</span>` },
  { key: "when", title: "When", hide: "narrow", width: "30%", render: ({ when }) => html`<span title=${when}>${when}</span>` },
  { key: "next", title: "Next", width: "6.5rem", render: ({ nextAt }) => html`<${Time} at=${nextAt} />` },
  { key: "last", title: "Last job", hide: "medium", width: "7.5rem", render: (schedule) => html`<${Last} schedule=${schedule} />` },
  { key: "state", title: "State", width: "7rem", render: (schedule) => html`<${Standing} schedule=${schedule} />` },
];
const open = ({ name }) => go(["schedules", name]);
const rowKey = ({ name }) => name;

function All({ schedules }) {
  return html`<${Table} columns=${COLUMNS} rows=${schedules} rowKey=${rowKey} onOpen=${open} empty=${html`<${Nothing} />`} caption="Schedules" />`;
}

function Nothing() {
  return html`<${Empty} title="No schedules yet" hint="A schedule has a job submitted again and again, by the clock or at an interval.">
    <p class="v-how"><code>osqueue schedules put nightly report:build --cron "0 3 * * *"</code></p>
  <//>`;
}

function Last({ schedule: { lastAt, lastJobId } }) {
  if (lastJobId === undefined) return html`<${Time} at=${lastAt} />`;
  return html`<a href=${href(["jobs", lastJobId])}><${Time} at=${lastAt} /></a>`;
}

function Standing({ schedule }) {
  const { kind, word } = standing(schedule);
  return html`<${Badge} kind=${kind}>${word}<//>`;
}

// One of them

function Chosen({ schedules, name, onDone }) {
  const schedule = schedules.find((each) => each.name === name);
  if (!schedule) {
    return html`<${Card} title=${name} kind="schedule">
      <${Empty} title="There is no such schedule" hint="It may have been removed, or the name may be mistyped." />
    <//>`;
  }
  return html`<${Card} title=${name} kind="schedule" aside=${html`<${Standing} schedule=${schedule} />`}>
    <dl class="fields">
      <${Field} label="Job">${schedule.type || html`<span class="muted">untyped</span>`}<//>
      <${Field} label="When">${schedule.when}${schedule.cron && html` <code class="v-cron">${schedule.cron}</code>`}<//>
      <${Field} label="Next"><${Time} at=${schedule.nextAt} exact=${true} /><//>
      <${Field} label="Last"><${LastOf} schedule=${schedule} /><//>
      <${Field} label="If missed">${schedule.missed === "skip" ? "left out" : "one job for all missed times"}<//>
      ${optionsOf(schedule).map(([label, value]) => html`<${Field} key=${label} label=${label}>${value}<//>`)}
      <${Field} label="Payload"><${Payload} schedule=${schedule} /><//>
    </dl>
    ${may("admin") && html`<div class="v-schedule-actions">
      ${actionsOn(schedule).map((kind) => html`<${Action} key=${kind} kind=${kind} schedule=${schedule} onDone=${onDone} />`)}
    </div>`}
  <//>`;
}

function LastOf({ schedule: { lastAt, lastJobId } }) {
  if (lastAt === undefined) return html`<span class="muted">none yet</span>`;
  return html`<${Time} at=${lastAt} exact=${true} />${lastJobId !== undefined && html` <a class="v-mono" href=${href(["jobs", lastJobId])}>${lastJobId}</a>`}`;
}

function optionsOf({ priority, maxAttempts, timeoutMs, keepResult, createdAt }) {
  return [
    ["Priority", priority && number(priority)],
    ["Attempts", maxAttempts !== undefined && number(Math.max(1, maxAttempts))],
    ["Timeout", timeoutMs !== undefined && duration(timeoutMs)],
    ["Result", keepResult && "kept"],
    ["Made", html`<${Time} at=${createdAt} exact=${true} />`],
  ].filter(([, value]) => value);
}

function Payload({ schedule }) {
  if (schedule.payloadHidden) return html`<span class="muted">hidden from your role</span>`;
  if (!("payload" in schedule)) return html`<span class="muted">none</span>`;
  return html`<${Json} value=${schedule.payload} label="Payload" open=${2} />`;
}

// What can be done

const ACTIONS = {
  run: {
    word: "Run now",
    question: "A job is submitted at once, beside the times of the schedule.",
    act: ({ name }) => api.post(pathOf(name, "run"), {}),
    done: "A job was submitted.",
  },
  pause: {
    word: "Pause",
    question: "It submits nothing until it is resumed. Times that pass meanwhile are not made up for.",
    act: ({ name }) => api.post(pathOf(name, "pause")),
    done: "The schedule is paused.",
  },
  resume: {
    word: "Resume",
    kind: "primary",
    question: "It submits jobs again, from its next time on.",
    act: ({ name }) => api.post(pathOf(name, "resume")),
    done: "The schedule goes on.",
  },
  remove: {
    word: "Remove",
    kind: "danger",
    question: "It submits nothing any more. The jobs that it has submitted stay.",
    act: ({ name }) => api.del(pathOf(name)),
    done: "The schedule is removed.",
  },
};

function Action({ kind, schedule, onDone }) {
  const [busy, setBusy] = useState(false);
  const action = ACTIONS[kind];
  const act = async () => {
    const options = { title: `${action.word}: ${schedule.name}?`, kind: action.kind };
    if (!(await confirm(action.question, action.word, options))) return;
    setBusy(true);
    try {
      const answer = await action.act(schedule);
      toast(action.done);
      if (answer?.jobId && kind === "run") go(["jobs", answer.jobId]);
      else if (kind === "remove") go("schedules");
    } catch (error) {
      toast(error.message, "bad");
    }
    setBusy(false);
    onDone();
  };
  return html`<${Button} kind=${action.kind} busy=${busy} onClick=${act}>${action.word}…<//>`;
}
