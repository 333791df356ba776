// A workflow as a drawing: which job stands where, and how the lines between them run. Pure.
//
// Laws: a job stands to the right of all that it runs after, as near to them as can be; the same
// workflow is drawn in the same way, in whatever order its jobs and edges are told; what it takes is
// bounded by what is shown. What cannot be (a circle, an edge to nowhere) is drawn as well as it can.

export const NODE = { width: 168, height: 46 };
const GAP = { x: 36, y: 14 };
const BEND = 18; // what a line that passes a column takes of its height
const MARGIN = 4;
const SWEEPS = 4;
const BENDS_MAX = 2_000; // beyond that lines pass behind the jobs that stand in their way

/**
 * `{width, height, nodes, lines}` of `{jobs, edges}` as the broker tells them: nodes are
 * `{job, x, y}`, lines `{from, to, path}`.
 */
export function drawn({ jobs, edges }) {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  const known = sorted(edges.filter(([from, to]) => from !== to && byId.has(from) && byId.has(to)));
  const layers = layersOf([...byId.keys()].sort(), known);
  const columns = columnsOf(layers, known);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) arrange(columns, sweep % 2 === 0);
  return placed(columns, byId, known);
}

/** Of each id its column: one more than the last of those that it runs after. */
export function layersOf(ids, edges) {
  const children = grouped(edges, ([from]) => from);
  const left = new Map(ids.map((id) => [id, 0]));
  for (const [, to] of edges) left.set(to, left.get(to) + 1);
  const layers = new Map();
  const free = ids.filter((id) => left.get(id) === 0);
  const layer = new Map(ids.map((id) => [id, 0]));
  for (let waiting = ids; layers.size < ids.length; ) {
    if (free.length === 0) {
      waiting = waiting.filter((id) => !layers.has(id));
      free.push(waiting[0]); // of a circle the first by name begins it
    }
    const id = free.shift();
    layers.set(id, layer.get(id));
    for (const [, child] of children.get(id) ?? []) {
      if (layers.has(child)) continue;
      layer.set(child, Math.max(layer.get(child), layer.get(id) + 1));
      left.set(child, left.get(child) - 1);
      if (left.get(child) === 0) free.push(child);
    }
  }
  return layers;
}

// Columns of slots: a job's, or a bend's, where a line passes through. Each slot knows the slots that
// it is joined with on either side.
function columnsOf(layers, edges) {
  const columns = Array.from({ length: Math.max(0, ...layers.values()) + 1 }, () => []);
  const slots = new Map();
  for (const [id, layer] of layers) {
    const slot = { id, layer, left: [], right: [] };
    slots.set(id, slot);
    columns[layer].push(slot);
  }
  const bends = edges.reduce((sum, [from, to]) => sum + Math.max(0, layers.get(to) - layers.get(from) - 1), 0);
  for (const [from, to] of edges) join(slots.get(from), slots.get(to), columns, bends <= BENDS_MAX);
  return columns;
}

function join(from, to, columns, bends) {
  const way = [from];
  for (let layer = from.layer + 1; bends && layer < to.layer; layer += 1) {
    const bend = { layer, left: [], right: [] };
    columns[layer].push(bend);
    way.push(bend);
  }
  way.push(to);
  if (to.layer > from.layer) {
    way.slice(1).forEach((slot, index) => {
      slot.left.push(way[index]);
      way[index].right.push(slot);
    });
  }
  from.ways ??= [];
  from.ways.push(way);
}

// Put the slots of each column in the order of the middle of those that they are joined with.
function arrange(columns, rightwards) {
  for (const column of columns) column.forEach((slot, place) => (slot.place = place));
  const order = rightwards ? columns : [...columns].reverse();
  for (const column of order) {
    for (const slot of column) slot.middle = middle(rightwards ? slot.left : slot.right) ?? slot.place;
    column.sort((one, other) => one.middle - other.middle || one.place - other.place);
    column.forEach((slot, place) => (slot.place = place));
  }
}

function middle(slots) {
  if (slots.length === 0) return undefined;
  return slots.reduce((sum, slot) => sum + slot.place, 0) / slots.length;
}

function placed(columns, byId, edges) {
  const heights = columns.map((column) => column.reduce((sum, slot) => sum + heightOf(slot) + GAP.y, -GAP.y));
  const height = Math.max(0, ...heights);
  columns.forEach((column, index) => {
    let y = MARGIN + (height - heights[index]) / 2;
    for (const slot of column) {
      Object.assign(slot, { x: MARGIN + index * (NODE.width + GAP.x), y });
      y += heightOf(slot) + GAP.y;
    }
  });
  const slots = columns.flat();
  const nodes = slots.filter(({ id }) => id !== undefined).map(({ id, x, y }) => ({ job: byId.get(id), x, y }));
  const lines = slots.flatMap(({ ways = [] }) => ways.map(lineOf));
  const width = columns.length * (NODE.width + GAP.x) - GAP.x + 2 * MARGIN;
  return { width, height: height + 2 * MARGIN, nodes, lines: lines.slice(0, edges.length) };
}

function heightOf({ id }) {
  return id === undefined ? BEND : NODE.height;
}

/** From the right side of the first, through the bends, to the left side of the last. */
function lineOf(way) {
  const [from, to] = [way[0], way.at(-1)];
  let path = `M${from.x + NODE.width} ${centre(from)}`;
  let x = from.x + NODE.width;
  let y = centre(from);
  for (const slot of way.slice(1)) {
    const half = (slot.x - x) / 2;
    path += `C${x + half} ${y} ${slot.x - half} ${centre(slot)} ${slot.x} ${centre(slot)}`;
    [x, y] = [slot.x, centre(slot)];
    if (slot.id === undefined) path += `H${(x += NODE.width)}`;
  }
  return { from: from.id, to: to.id, path };
}

function centre(slot) {
  return slot.y + heightOf(slot) / 2;
}

function sorted(edges) {
  return [...edges].sort(([a, b], [c, d]) => compare(a, c) || compare(b, d));
}

function compare(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
