// What the broker runs with. Read-only: it is set where the broker is started.

import { Card, Empty, ErrorBox, Page, Table, html, useLoad, useState } from "../parts/ui.js";
import { api } from "../data/api.js";

const COLUMNS = [
  { key: "name", title: "Setting", width: "24%", render: (one) => html`<code title=${one.name}>${one.name}</code>` },
  { key: "value", title: "Value", width: "20%", render: (one) => html`<span title=${written(one.value)}>${written(one.value)}</span>` },
  { key: "env", title: "Set by", width: "22%", hide: "narrow", render: (one) => html`<code class="muted" title=${one.env}>${one.env}</code>` },
  { key: "help", title: "", hide: "medium", render: (one) => html`<span class="muted" title=${one.help}>${one.help}</span>` },
];

export default function View() {
  const { data, error, reload } = useLoad((signal) => api.get("v1/settings", {}, { signal }));
  const [text, setText] = useState("");
  const rows = listOf(data)?.filter((one) => matches(one, text));
  const search = html`<input class="input" type="search" data-search placeholder="Search" aria-label="Search the settings"
    value=${text} onInput=${(event) => setText(event.currentTarget.value)} />`;
  return html`<${Page} title="Settings" subtitle="Read-only: what this broker was started with" actions=${search}>
    ${error ? html`<${ErrorBox} error=${error} onRetry=${reload} />` : html`<${Card} kind="flush">
      <${Table} caption="The broker's settings" columns=${COLUMNS} rows=${rows} rowKey=${(one) => one.name} placeholder=${12}
        empty=${html`<${Empty} title="No setting has that in its name or value" />`} />
    <//>`}
  <//>`;
}

/** The list, whether it comes alone or under a name. */
function listOf(data) {
  return Array.isArray(data) ? data : data?.settings;
}

function matches({ name, value, env, help }, text) {
  const words = text.toLowerCase().trim();
  return [name, written(value), env, help].some((one) => one?.toLowerCase().includes(words));
}

function written(value) {
  if (value === null || value === undefined) return "not set";
  return typeof value === "string" ? value : JSON.stringify(value);
}
