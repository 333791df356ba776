// How many jobs there are of each type, and what they wait for.

import { Bar, Button, Card, Empty, Table, html, now, useRef, useState } from "../../parts/ui.js";
import { number } from "../../data/format.js";
import { typesByDepth } from "../../data/figures.js";
import { go } from "../../data/routes.js";

const SHOWN = 6;
const REORDER_MS = 30_000;

export function Types({ types }) {
  const [all, setAll] = useState(false);
  const rows = useSteadyOrder(typesByDepth(types));
  const most = Math.max(1, ...rows.map((row) => row.total));
  const more = rows.length - SHOWN;
  return html`<${Card} title="Types" kind="flush" aside=${html`<${Keys} />`}>
    <div class="types-place"><${Table}
      caption="Jobs by type"
      columns=${columnsOf(most)}
      rows=${all ? rows : rows.slice(0, SHOWN)}
      rowKey=${(row) => row.name}
      onOpen=${(row) => row.name !== "other" && go("jobs", { type: row.name })}
      keys=${false}
      empty=${html`<${Empty} title="No jobs" hint="The types of jobs appear here once there are some." />`}
    /></div>
    ${more > 0 && html`<div class="card-foot">
      <${Button} kind="quiet" onClick=${() => setAll(!all)}>${all ? "Show fewer" : `Show ${number(more)} more`}<//>
    </div>`}
  <//>`;
}

/** Rows in the order that they had: types that overtake each other all the time could not be read. */
function useSteadyOrder(rows) {
  const order = useRef({ names: "", at: -Infinity });
  const names = rows.map(({ name }) => name).sort().join("\n");
  if (names !== order.current.names || now() - order.current.at > REORDER_MS) {
    order.current = { names, at: now(), places: new Map(rows.map(({ name }, place) => [name, place])) };
  }
  const { places } = order.current;
  return rows.sort((one, other) => places.get(one.name) - places.get(other.name));
}

function Keys() {
  return html`
    <span class="key key-ready">ready</span>
    <span class="key key-inProgress">in progress</span>
    <span class="key key-dead">dead</span>`;
}

function columnsOf(most) {
  const figure = (key, title, hide) => ({
    key, title, hide, align: "end", width: "6rem", render: (row) => (row[key] ? number(row[key]) : html`<span class="muted">0</span>`),
  });
  return [
    { key: "name", title: "Type", render: (row) => row.name || html`<span class="muted">without a type</span>` },
    { key: "bar", title: html`<span class="visually-hidden">Share</span>`, width: "38%", hide: "narrow", render: (row) => html`<${Bar} parts=${partsOf(row)} of=${most} label=${`${number(row.total)} jobs`} />` },
    figure("ready", "Ready"),
    figure("inProgress", "In progress"),
    figure("dead", "Dead", "narrow"),
  ];
}

function partsOf({ ready = 0, inProgress = 0, dead = 0 }) {
  return [{ kind: "inProgress", value: inProgress }, { kind: "ready", value: ready }, { kind: "dead", value: dead }];
}
