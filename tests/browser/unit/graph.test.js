import assert from "node:assert/strict";
import { test } from "node:test";

import { NODE, drawn, layersOf } from "../../../src/osqueue/server/dashboard/assets/data/graph.js";

const jobs = (...ids) => ids.map((id) => ({ id, status: "unclaimed" }));
const placesOf = ({ nodes }) => Object.fromEntries(nodes.map(({ job, x, y }) => [job.id, { x, y }]));
const overlap = (one, other) => Math.abs(one.x - other.x) < NODE.width && Math.abs(one.y - other.y) < NODE.height;

test("a job stands one column behind the last of those that it runs after", () => {
  const edges = [["a", "b"], ["b", "c"], ["a", "c"], ["a", "d"], ["x", "d"]];
  const layers = layersOf(["a", "b", "c", "d", "x"], edges);
  assert.deepEqual(Object.fromEntries(layers), { a: 0, x: 0, b: 1, d: 1, c: 2 });
});

test("a drawing has each job once, none over another, all within it, and a line for each edge", () => {
  const edges = [["a", "b"], ["a", "c"], ["b", "d"], ["c", "d"], ["a", "d"], ["d", "e"]];
  const drawing = drawn({ jobs: jobs("a", "b", "c", "d", "e"), edges });
  assert.deepEqual(drawing.lines.map(({ from, to }) => `${from}${to}`).sort(), ["ab", "ac", "ad", "bd", "cd", "de"]);
  assert.equal(drawing.nodes.length, 5);
  for (const one of drawing.nodes) {
    assert.ok(one.x >= 0 && one.y >= 0 && one.x + NODE.width <= drawing.width && one.y + NODE.height <= drawing.height);
    for (const other of drawing.nodes) assert.ok(one === other || !overlap(one, other), `${one.job.id} ${other.job.id}`);
  }
  const { a, b, d, e } = placesOf(drawing);
  assert.ok(a.x < b.x && b.x < d.x && d.x < e.x);
});

test("children stand in the order of their parents, so that lines do not cross", () => {
  const edges = [["a", "z"], ["b", "y"], ["c", "x"]];
  const places = placesOf(drawn({ jobs: jobs("a", "b", "c", "x", "y", "z"), edges }));
  const order = (...ids) => ids.sort((one, other) => places[one].y - places[other].y).join("");
  const parents = order("a", "b", "c");
  assert.equal(order("x", "y", "z"), parents.replace("a", "z").replace("b", "y").replace("c", "x"));
});

test("a line that passes a column has a place there of its own", () => {
  const drawing = drawn({ jobs: jobs("a", "b", "c"), edges: [["a", "b"], ["b", "c"], ["a", "c"]] });
  const { path } = drawing.lines.find(({ from, to }) => from === "a" && to === "c");
  assert.equal(path.match(/H/g).length, 1);
  const [, passes] = path.match(/ (\S+)H/);
  const { b } = placesOf(drawing);
  assert.ok(Number(passes) < b.y || Number(passes) > b.y + NODE.height, "it does not run through the job");
});

test("the same workflow is drawn in the same way, however it is told", () => {
  const all = jobs("d", "b", "a", "c");
  const edges = [["a", "b"], ["a", "c"], ["b", "d"], ["c", "d"]];
  const one = drawn({ jobs: all, edges });
  const other = drawn({ jobs: [...all].reverse(), edges: [...edges].reverse() });
  assert.deepEqual(placesOf(one), placesOf(other));
  assert.deepEqual(one.lines, other.lines);
});

test("a job alone has a drawing, and none has one without size", () => {
  assert.equal(drawn({ jobs: jobs("a"), edges: [] }).nodes.length, 1);
  assert.deepEqual(drawn({ jobs: [], edges: [] }).nodes, []);
});

test("what cannot be is drawn as well as it can: circles, edges to nowhere and to itself", () => {
  const edges = [["a", "b"], ["b", "a"], ["b", "b"], ["a", "gone"], ["b", "c"]];
  const drawing = drawn({ jobs: jobs("a", "b", "c"), edges });
  assert.equal(drawing.nodes.length, 3);
  assert.deepEqual(drawing.lines.map(({ from, to }) => `${from}${to}`).sort(), ["ab", "ba", "bc"]);
  assert.ok(drawing.lines.every(({ path }) => !path.includes("NaN")));
});

test("names that objects have by themselves are names like any other", () => {
  const edges = [["__proto__", "constructor"], ["constructor", "toString"]];
  const drawing = drawn({ jobs: jobs("__proto__", "constructor", "toString"), edges });
  assert.deepEqual(drawing.nodes.map(({ job }) => job.id), ["__proto__", "constructor", "toString"]);
});

test("the largest that is shown, in its worst shapes, is drawn as a whole", () => {
  const ids = Array.from({ length: 200 }, (_, n) => `j${String(n).padStart(3, "0")}`);
  const chain = ids.slice(1).map((id, n) => [ids[n], id]);
  const fan = ids.slice(1).map((id) => [ids[0], id]);
  const dense = ids.flatMap((from, n) => ids.slice(n + 1, n + 11).map((to) => [from, to]));
  for (const edges of [chain, [...chain, ...fan.slice(1)], fan, dense]) {
    const drawing = drawn({ jobs: jobs(...ids), edges });
    assert.equal(drawing.nodes.length, 200);
    assert.equal(drawing.lines.length, edges.length);
  }
});
