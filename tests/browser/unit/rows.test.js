import assert from "node:assert/strict";
import { test } from "node:test";

import { noRows, pagesOf, rowOf, statusOf, withPage, withRefresh } from "../../../src/osqueue/server/dashboard/assets/data/rows.js";

// Jobs by number: the larger, the later.
const job = (n, more = {}) => ({ id: `j${n}`, status: "unclaimed", createdAt: n, ...more });
const page = (numbers, nextCursor) => ({ jobs: numbers.map((n) => job(n)), ...(nextCursor && { nextCursor }) });
const ids = (list) => list.rows.map((row) => row.id).join(" ");
const gone = (list) => list.rows.filter((row) => row.gone).map((row) => row.id).join(" ");

test("pages, when they are read one after another, make one list", () => {
  let list = withPage(noRows(), page([9, 8], "a"));
  assert.deepEqual([list.next, list.complete], ["a", false]);
  list = withPage(list, page([7, 6]));
  assert.equal(ids(list), "j9 j8 j7 j6");
  assert.deepEqual(list.pages.map(({ cursor }) => cursor), [undefined, "a"]);
  assert.ok(list.complete);
});

test("a job that comes in two pages, stands in the list once", () => {
  const list = withPage(withPage(noRows(), page([1, 2], "a")), page([2, 3]));
  assert.equal(ids(list), "j1 j2 j3");
});

test("new jobs, when the newest come first, are counted and move nothing", () => {
  const list = withPage(noRows(), page([5, 4, 3], "a"));
  const later = withRefresh(list, 0, page([7, 6, 5], "b"));
  assert.equal(ids(later), "j5 j4 j3");
  assert.deepEqual([...later.news], ["j7", "j6"]);
  assert.equal(gone(later), "");
});

test("new jobs, when the oldest come first and the list was at its end, are counted", () => {
  const later = withRefresh(withPage(noRows(), page([1, 2])), 0, page([1, 2, 3]));
  assert.equal(ids(later), "j1 j2");
  assert.deepEqual([...later.news], ["j3"]);
});

test("what follows on the next page, when earlier rows have gone, is no news", () => {
  const later = withRefresh(withPage(noRows(), page([1, 2, 3], "a")), 0, page([2, 3, 4], "b"));
  assert.equal(gone(later), "j1");
  assert.equal(later.news.size, 0);
});

test("a job that has come to match in the middle, is news", () => {
  const later = withRefresh(withPage(noRows(), page([1, 3, 5], "a")), 0, page([1, 2, 3], "b"));
  assert.deepEqual([...later.news], ["j2"]);
});

test("rows that the answer passes over, are gone and stay where they are", () => {
  const list = withPage(noRows(), page([1, 2, 3, 4]));
  const later = withRefresh(list, 0, page([1, 4]));
  assert.equal(ids(later), "j1 j2 j3 j4");
  assert.equal(gone(later), "j2 j3");
  assert.equal(later.gone, 2);
});

test("rows behind the answer's end, are not said to be gone", () => {
  const list = withPage(noRows(), page([9, 8, 7, 6], "a"));
  const later = withRefresh(list, 0, page([11, 10, 9, 8], "b"));
  assert.equal(gone(later), "");
});

test("the last rows of a page, when later ones have taken their place, are gone", () => {
  const list = withPage(noRows(), page([1, 2, 3, 4], "a"));
  const later = withRefresh(list, 0, page([1, 2, 5, 6], "b"));
  assert.equal(gone(later), "j3 j4");
});

test("all rows, when the queue is empty, are gone", () => {
  const later = withRefresh(withPage(noRows(), page([1, 2])), 0, page([]));
  assert.equal(gone(later), "j1 j2");
});

test("a row that was gone, when it comes back, stands there again", () => {
  const list = withRefresh(withPage(noRows(), page([1, 2])), 0, page([2]));
  assert.equal(gone(list), "j1");
  assert.equal(gone(withRefresh(list, 0, page([1, 2]))), "");
});

test("a row, when the server says more of it, says so where it stands, on other pages too", () => {
  const list = withPage(withPage(noRows(), page([1, 2], "a")), page([3, 4]));
  const answer = { jobs: [job(2), { ...job(3), status: "in_progress", workerId: "w" }], nextCursor: "b" };
  const later = withRefresh(list, 0, answer);
  assert.equal(ids(later), "j1 j2 j3 j4");
  assert.equal(later.rows[2].status, "in_progress");
  assert.equal(list.rows[2].status, "unclaimed", "the list before is as it was");
});

test("a refresh of a page that is no longer there, changes nothing", () => {
  const list = noRows();
  assert.equal(withRefresh(list, 3, page([1])), list);
});

test("the pages to read again, are those whose rows are in sight", () => {
  let list = withPage(noRows(), page([1, 2, 3], "a"));
  list = withPage(list, page([], "b"));
  list = withPage(list, page([4, 5, 6], "c"));
  assert.deepEqual(pagesOf(list, 0, 2), [0]);
  assert.deepEqual(pagesOf(list, 2, 4), [0, 2]);
  assert.deepEqual(pagesOf(list, 5, 9), [2]);
});

test("a row, keeps neither payload nor traceback, and a message only so far", () => {
  const row = rowOf(job(1, { payload: { large: "x" }, lastError: { type: "E", message: "m".repeat(999), traceback: "t" } }));
  assert.ok(!("payload" in row));
  assert.deepEqual(Object.keys(row.error), ["type", "message"]);
  assert.equal(row.error.message.length, 200);
});

test("a list, when it is as long as a page may be, asks for no more and says so", () => {
  const numbers = Array.from({ length: 200_000 }, (_, n) => n);
  const list = withPage(noRows(), page(numbers, "more"));
  assert.deepEqual([list.next, list.full, list.complete], [undefined, true, false]);
});

test("a waiting job, by its time, is ready or delayed", () => {
  assert.equal(statusOf(rowOf(job(1)), 5), "ready");
  assert.equal(statusOf(rowOf(job(1, { runAt: 6 })), 5), "delayed");
  assert.equal(statusOf(rowOf(job(1, { runAt: 5 })), 5), "ready");
  assert.equal(statusOf(rowOf(job(1, { status: "dead", runAt: 6 })), 5), "dead");
});

test("a job that waits for others is told apart from those that are ready or delayed", () => {
  const waiting = rowOf(job(1, { waitsFor: ["a"], after: ["a"], runAt: 9e15 }));
  assert.equal(waiting.waits, true);
  assert.equal(statusOf(waiting, 0), "waiting");
  assert.equal(statusOf({ status: "unclaimed", waitsFor: ["a"] }, 0), "waiting");
  assert.equal(statusOf(rowOf(job(2, { after: ["a"] })), 0), "ready");
});
