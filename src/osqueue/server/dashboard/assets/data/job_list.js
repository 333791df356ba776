// A list of jobs as a page keeps it: read on as one scrolls, and brought up to date while one looks.
// Laws: one request at a time; an answer that came too late is dropped; what it costs the broker is
// bounded, as the pauses grow with the time that its answers take.

import { makeStore } from "./store.js";
import { noRows, pagesOf, withPage, withRefresh } from "./rows.js";
import { pageRequest } from "./filters.js";

const PAGE_JOBS = 200;
const EMPTY_PAGES_MAX = 50; // what a filter that matches little is searched for in one go
const REFRESH_MS = 1_000;
const REST_SHARE = 4; // it rests four times as long as the last refresh took
const REREAD_PAGES_MAX = 3;

/** `state` is a store of `{list, loading, searching, error}`; `list` is one of rows.js. */
export class JobList {
  constructor({ api, filter, now = Date.now }) {
    this.api = api;
    this.filter = filter;
    this.now = now;
    this.over = new AbortController();
    this.state = makeStore({ list: undefined, loading: false, searching: false, error: undefined });
    this.busy = undefined;
    this.restUntil = 0;
  }

  /** No answer is of use any more. */
  close() {
    this.over.abort();
  }

  /** Read from the beginning. What is shown stays until the answer is there. */
  reload() {
    return this.#alone(async () => this.#show(await this.#withMore(noRows())));
  }

  /** Read on behind the last row. */
  more() {
    const { list } = this.state.get();
    if (list === undefined || list.next === undefined) return undefined;
    return this.#alone(async () => this.#show(await this.#withMore(this.state.get().list)));
  }

  /**
   * Bring the rows from `first` to `last` up to date, if it is time to. While the reader holds the
   * list (`held`) the rows stay where they are; else it begins anew.
   */
  async refresh(first, last, held) {
    const begun = this.now();
    const { list, error } = this.state.get();
    if (list === undefined || this.busy !== undefined || begun < this.restUntil) return;
    if (held && error === undefined) await this.#alone(() => this.#reread(first, last));
    else await this.reload();
    this.restUntil = this.now() + Math.max(REFRESH_MS, REST_SHARE * (this.now() - begun));
  }

  async #reread(first, last) {
    const visible = pagesOf(this.state.get().list, first, last).slice(0, REREAD_PAGES_MAX);
    for (const index of new Set([0, ...visible])) {
      const { cursor } = this.state.get().list.pages[index];
      const answer = await this.#page(cursor);
      this.#show(withRefresh(this.state.get().list, index, answer));
    }
  }

  // Pages until there is a row more: a filter may match none of those that one request looks at.
  async #withMore(list) {
    const before = list.rows.length;
    for (let pages = 0; pages < EMPTY_PAGES_MAX; pages += 1) {
      list = withPage(list, await this.#page(list.next));
      if (list.rows.length > before || list.next === undefined) break;
      this.state.set({ searching: true });
    }
    return list;
  }

  async #page(cursor) {
    const { path, query } = pageRequest(this.filter, { cursor, limit: PAGE_JOBS });
    const answer = await this.api.get(path, query, { signal: this.over.signal });
    this.over.signal.throwIfAborted();
    return answer;
  }

  #show(list) {
    this.state.set({ list, error: undefined });
  }

  // One after another. What waits when the list is closed is not begun.
  async #alone(read) {
    const turn = (this.busy ?? Promise.resolve()).then(() => this.#guarded(read));
    this.busy = turn;
    await turn;
    if (this.busy === turn) this.busy = undefined;
  }

  async #guarded(read) {
    if (this.over.signal.aborted) return;
    this.state.set({ loading: true });
    try {
      await read().catch((error) => this.#fromStart(error));
    } catch (error) {
      if (!this.over.signal.aborted) this.state.set({ error });
    }
    if (!this.over.signal.aborted) this.state.set({ loading: false, searching: false });
  }

  // A new leader does not know the places that its forerunner named: the list begins anew.
  async #fromStart(error) {
    const named = this.state.get().list?.pages.length > 0;
    if (error.status !== 400 || !named) throw error;
    this.#show(await this.#withMore(noRows()));
  }
}
