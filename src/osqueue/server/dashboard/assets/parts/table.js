// A table of any length: of its rows only those in sight are in the document.
// Laws: rows have one height (--row), so nothing moves while they come; the columns' widths are
// fixed; with the keyboard j and k, or the arrows, go from row to row, Enter opens one, x selects it.

import { classes, html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { Empty, Skeleton } from "./empty.js";
import { rowsInSight } from "../data/sight.js";

/** The height of a row before there is one to measure. */
const ROW = 40;
const NEAR_END_ROWS = 20;
const STEPS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };

/**
 * columns: [{key, title, render(row), width?, align?: "end", hide?: "narrow" | "medium"}], where `hide`
 * says below which width of the page a column is left out. `rows`: undefined while they are yet to come.
 * onOpen(row): a click or Enter. `selected`: a Set of keys, and onSelect(Set) when it changes: rows
 * then have boxes. `empty`: what stands there without rows. `loadMore()`: called near the end, once
 * for each number of rows. onRange(start, end): which rows are drawn, when that changes. `keys`: false leaves j and k to another table. `caption`: for those who can't see it.
 */
export function Table({
  columns, rows, rowKey, onOpen, selected, onSelect, empty, loadMore, onRange, keys = Boolean(onOpen), caption, placeholder = 5,
}) {
  const body = useRef();
  const active = useActive(rows ?? [], rowKey, { onOpen, selected, onSelect, body, keys });
  const range = useRange(body, rows?.length ?? 0);
  useLoadMore(range.end, rows?.length ?? 0, loadMore);
  useEffect(() => onRange?.(range.start, range.end), [range.start, range.end, onRange]);
  if (!rows) return html`<${Skeleton} lines=${placeholder} />`;
  if (!rows.length) return empty ?? html`<${Empty} title="Nothing here" />`;
  const shown = rows.slice(range.start, range.end);
  return html`<table class=${classes("table", onOpen && "is-openable")} aria-rowcount=${rows.length + 1}>
    ${caption && html`<caption class="visually-hidden">${caption}</caption>`}
    <${Head} columns=${columns} rows=${rows} rowKey=${rowKey} selected=${selected} onSelect=${onSelect} />
    <tbody ref=${body}>
      <${Gap} rows=${range.start} />
      ${shown.map((row, index) => html`<${Row}
        key=${rowKey(row)} row=${row} id=${rowKey(row)} index=${range.start + index} columns=${columns}
        active=${active} onOpen=${onOpen} selected=${selected} onSelect=${onSelect}
      />`)}
      <${Gap} rows=${rows.length - range.end} />
    </tbody>
  </table>`;
}

function Head({ columns, rows, rowKey, selected, onSelect }) {
  const all = onSelect && rows.every((row) => selected?.has(rowKey(row)));
  const some = onSelect && !all && Boolean(selected?.size);
  const toggle = () => onSelect(all ? new Set() : new Set(rows.map(rowKey)));
  return html`<thead><tr>
    ${onSelect && html`<th scope="col" class="col-select">
      <input type="checkbox" aria-label="Select all that are loaded" checked=${all} indeterminate=${some} onChange=${toggle} />
    </th>`}
    ${columns.map((column) => html`<th key=${column.key} scope="col" class=${classOf(column)} style=${{ width: column.width }}>
      ${column.title}
    </th>`)}
  </tr></thead>`;
}

function Row({ row, id, index, columns, active, onOpen, selected, onSelect }) {
  const chosen = selected?.has(id) ?? false;
  const click = (event) => {
    if (onOpen && !event.target.closest("a, button, input, label")) onOpen(row);
  };
  const toggle = () => onSelect(toggled(selected, id));
  return html`<tr
    class=${classes(chosen && "is-selected")}
    aria-rowindex=${index + 2}
    aria-selected=${onSelect ? String(chosen) : undefined}
    tabindex=${onOpen ? "0" : undefined}
    data-row=${index}
    onClick=${click}
    onFocus=${() => active.set(index)}
  >
    ${onSelect && html`<td class="col-select">
      <input type="checkbox" aria-label=${`Select ${id}`} checked=${chosen} onChange=${toggle} />
    </td>`}
    ${columns.map((column) => html`<td key=${column.key} class=${classOf(column)}>${column.render(row)}</td>`)}
  </tr>`;
}

function toggled(selected, id) {
  const next = new Set(selected);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** Room of rows that are out of sight. One cell: to span columns that are left out would make them. */
function Gap({ rows }) {
  if (rows <= 0) return null;
  return html`<tr class="table-gap" aria-hidden="true"><td style=${{ height: `calc(var(--row) * ${rows})` }}></td></tr>`;
}

function classOf({ key, align, hide }) {
  return classes(align === "end" && "is-end", hide && `hide-${hide}`, `col-${key}`);
}

/** Which rows are in sight, and a few around them. */
function useRange(body, length) {
  const [range, setRange] = useState(() => inSight(undefined, length));
  const look = () => {
    const next = inSight(body.current, length);
    setRange((before) => (before.start === next.start && before.end === next.end ? before : next));
  };
  useLayoutEffect(look, [length]);
  useEffect(() => {
    addEventListener("scroll", look, { passive: true, capture: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look, { capture: true });
      removeEventListener("resize", look);
    };
  }, [length]);
  return { start: Math.min(range.start, length), end: Math.min(range.end, length) };
}

function inSight(body, length) {
  const place = { top: body?.getBoundingClientRect().top ?? 0, height: body ? rowHeight(body) : ROW };
  return rowsInSight({ ...place, sight: innerHeight, length });
}

function rowHeight(body) {
  return body.querySelector("tr[data-row]")?.getBoundingClientRect().height || ROW;
}

/** Ask for more once for each length that was reached, when its end comes into sight. */
function useLoadMore(end, length, loadMore) {
  const asked = useRef(-1);
  useEffect(() => {
    if (!loadMore || end < length - NEAR_END_ROWS || asked.current === length) return;
    asked.current = length;
    loadMore();
  }, [end, length, loadMore]);
}

/** The row that the keyboard is at, as the focus has it. */
function useActive(rows, rowKey, { onOpen, selected, onSelect, body, keys }) {
  const state = useRef({});
  state.current = { ...state.current, rows, rowKey, onOpen, selected, onSelect };
  useEffect(() => {
    if (!keys) return undefined;
    const press = (event) => pressed(event, state.current, body.current);
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [keys]);
  return { set: (index) => (state.current.index = index) };
}

function pressed(event, state, body) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !body) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const inside = event.target.closest?.("tr[data-row]");
  if (event.key === "Enter" && inside === event.target && body.contains(inside)) {
    state.onOpen?.(state.rows[Number(inside.dataset.row)]);
    return;
  }
  if (event.key === "x" && state.onSelect && body.contains(inside)) {
    state.onSelect(toggled(state.selected, state.rowKey(state.rows[Number(inside.dataset.row)])));
    return;
  }
  const step = STEPS[event.key];
  if (!step || (event.key.startsWith("Arrow") && !inside)) return;
  event.preventDefault();
  focusRow(body, inside && body.contains(inside) ? next(Number(inside.dataset.row), step, state.rows.length) : firstInSight(body));
}

/** Where the keyboard begins: one may have scrolled, or come back to where one was. */
function firstInSight(body) {
  const above = [document.querySelector(".top"), body.previousElementSibling.querySelector("th")];
  const top = Math.max(...above.map((one) => one.getBoundingClientRect().bottom));
  const rows = [...body.querySelectorAll("tr[data-row]")];
  return Number(rows.find((row) => row.getBoundingClientRect().top >= top - 1)?.dataset.row ?? 0);
}

function next(index, step, length) {
  return Math.max(0, Math.min(length - 1, index + step));
}

function focusRow(body, index) {
  const row = body.querySelector(`tr[data-row="${index}"]`);
  row?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: "nearest" });
}

/** Whether keys are for a field just now. */
export function isTyping(target) {
  return Boolean(target?.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]"));
}
