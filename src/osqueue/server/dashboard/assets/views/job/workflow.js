// The jobs around one, as a drawing: each a link to its page.

import { NODE, drawn } from "../../data/graph.js";
import { WorkflowWatch, hasEdges } from "../../data/workflow_watch.js";
import { api } from "../../data/api.js";
import { plural } from "../../data/format.js";
import { href } from "../../data/routes.js";
import { statusOf } from "../../data/rows.js";
import { Card, classes, html, now, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../parts/ui.js";

const CHARS_MAX = 18;
const ID_CHARS = 7; // the last ones: the first of a UUID are the time
const WORDS = { in_progress: "in progress" };

/** Nothing, for a job that stands alone. `seen` changes when the job itself has. */
export function Workflow({ id, seen }) {
  const workflow = useWorkflow(id, seen);
  if (!hasEdges(workflow)) return null;
  const count = `${workflow.more ? "the nearest " : ""}${plural(workflow.jobs.length, "job")}`;
  return html`<${Card} title="Workflow" aside=${count}><${Graph} id=${id} workflow=${workflow} /><//>`;
}

function useWorkflow(id, seen) {
  const [watch, setWatch] = useState();
  const [workflow, setWorkflow] = useState();
  useEffect(() => {
    const made = new WorkflowWatch({ api, id, hidden: () => document.hidden });
    const stop = made.state.subscribe((state) => setWorkflow(state.workflow));
    setWatch(made);
    return () => {
      stop();
      made.close();
      setWorkflow(undefined);
    };
  }, [id]);
  useEffect(() => watch?.look(), [watch, seen]);
  return workflow;
}

function Graph({ id, workflow }) {
  const { width, height, nodes, lines } = useMemo(() => drawn(workflow), [workflow]);
  const place = useRef();
  useLayoutEffect(() => {
    const own = nodes.find(({ job }) => job.id === id);
    place.current.scrollLeft = own ? own.x + NODE.width / 2 - place.current.clientWidth / 2 : 0;
  }, [id]);
  return html`<div class="v-graph" ref=${place} tabindex="0" role="group" aria-label="The jobs that this one runs after, and those that run after it">
    <svg width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`}>
      <clipPath id="v-node-inside"><rect width=${NODE.width - 6} height=${NODE.height} /></clipPath>
      <g aria-hidden="true">
        ${lines.map(({ from, to, path }) => html`<path key=${`${from} ${to}`} class=${classes("v-edge", (from === id || to === id) && "is-near")} d=${path} />`)}
      </g>
      ${nodes.map((node) => html`<${Node} key=${node.job.id} node=${node} current=${node.job.id === id} />`)}
    </svg>
  </div>`;
}

function Node({ node: { job, x, y }, current }) {
  const status = statusOf(job, now());
  const type = job.type ?? "";
  const word = WORDS[status] ?? status;
  const name = `${type || "untyped"}, ${word}, ${job.id}${current ? ", this job" : ""}`;
  return html`<a
    class=${classes("v-node", `badge-${status}`, current && "is-current")}
    href=${href(["jobs", job.id])}
    aria-current=${current ? "true" : undefined}
    transform=${`translate(${x} ${y})`}
  >
    <title>${name}</title>
    <rect class="v-node-box" width=${NODE.width} height=${NODE.height} rx="8" />
    <circle class="v-node-dot" cx="15" cy="16" r="4" />
    <g clip-path="url(#v-node-inside)">
      <text class=${classes("v-node-type", !type && "muted")} x="27" y="20">${cut(type || (job.type === undefined ? job.id : "untyped"), CHARS_MAX)}</text>
      <text class="v-node-status" x="27" y="36">${word} · ${ending(job.id, ID_CHARS)}</text>
    </g>
  </a>`;
}

function ending(id, charsMax) {
  return id.length > charsMax ? `…${id.slice(1 - charsMax)}` : id;
}

function cut(text, charsMax) {
  const chars = Array.from(text);
  return chars.length > charsMax ? `${chars.slice(0, charsMax - 1).join("")}…` : text;
}
