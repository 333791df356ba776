// Submits jobs from a page: one, or one every so often. Laws: every job has its id from here, so one
// whose answer was lost is sent again and is there once; what the broker refuses ends a series; when
// the broker is slower than the series, it gets behind, and no heap of requests is made.

import { isPassing } from "./browser_worker.js";
import { ENDS } from "./attempts.js";
import { makeStore } from "./store.js";
import { uuid7 } from "./ids.js";

const RECENT_MAX = 12;
const UNDER_WAY_MAX = 4; // of the six connections that a browser opens to one host

export const EVERY_MS_MIN = 20;
export const EVERY_MS_MAX = 3_600_000;

/**
 * `state` is a store of `{series, submitted, behind, error, recent}`; `series` is the time between
 * two, while there is one; `recent` are the last jobs: `{id, type, at, status, progress, attempts}`.
 */
export class Producer {
  constructor({ api, now = Date.now }) {
    this.api = api;
    this.now = now;
    this.state = makeStore({ series: 0, submitted: 0, behind: 0, error: undefined, recent: [] });
    this.again = [];
    this.underWay = new Set();
  }

  /** Submit one job. Answers its id; throws what the broker says. */
  async submit(job) {
    return this.#send({ ...job, jobId: uuid7(this.now()) });
  }

  /** Submit what `make` makes, every so many ms, until it is stopped or refused. */
  start(make, everyMs) {
    this.stop();
    const series = Math.min(Math.max(everyMs, EVERY_MS_MIN), EVERY_MS_MAX);
    this.state.set({ series, submitted: 0, behind: 0, error: undefined });
    this.timer = setInterval(() => this.#tick(make), series);
    this.#tick(make);
  }

  /** End the series. What is under way is waited for. */
  async stop() {
    clearInterval(this.timer);
    this.again = [];
    if (this.state.get().series !== 0) this.state.set({ series: 0 });
    await Promise.all(this.underWay);
  }

  /** Look at what has become of the last jobs. */
  async refresh() {
    const open = this.state.get().recent.filter(({ status }) => !ENDS.includes(status));
    await inPairs(open, async ({ id }) => {
      const job = await this.api.get(`v1/jobs/${encodeURIComponent(id)}`).catch(failureOf);
      if (job !== undefined) this.#learn(id, job);
    });
  }

  #tick(make) {
    if (this.underWay.size >= UNDER_WAY_MAX) {
      this.state.set({ behind: this.state.get().behind + 1 });
      return;
    }
    const job = this.again.shift() ?? { ...make(), jobId: uuid7(this.now()) };
    const sending = this.#send(job)
      .catch((error) => this.#failed(job, error))
      .finally(() => this.underWay.delete(sending));
    this.underWay.add(sending);
  }

  #failed(job, error) {
    if (this.state.get().series === 0) return;
    this.state.set({ error });
    if (isPassing(error)) this.again.push(job);
    else this.stop();
  }

  async #send(job) {
    const { jobId } = await this.api.post("v1/jobs", job);
    const { submitted, recent } = this.state.get();
    const sent = { id: jobId, type: job.type ?? "", at: this.now(), status: "unclaimed", runAt: job.runAt };
    const last = [sent, ...recent.filter(({ id }) => id !== jobId)].slice(0, RECENT_MAX);
    this.state.set({ submitted: submitted + 1, recent: last, error: undefined });
    return jobId;
  }

  #learn(id, { status, progress, attempts, runAt }) {
    const recent = this.state.get().recent.map((each) =>
      each.id === id ? { ...each, status, progress, attempts, runAt } : each,
    );
    this.state.set({ recent });
  }
}

function failureOf(error) {
  return error.status === 404 ? { status: "gone" } : undefined;
}

async function inPairs(items, act) {
  const left = [...items];
  const take = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item);
  };
  await Promise.all([take(), take()]);
}
