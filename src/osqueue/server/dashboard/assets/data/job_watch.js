// One job, kept up to date while somebody looks: each request waits at the broker until the job has
// ended, or for a little while, so an end is seen at once and a progress soon.

import { ENDS } from "./attempts.js";
import { makeStore } from "./store.js";

const WAIT_MS = 1_500; // no longer, as progress ends no wait
const DEAD_MS = 3_000; // a dead letter may be queued again by somebody else
const BACKOFF_MS = [500, 1_000, 2_000, 5_000];

/** `state` is a store of `{job, error}`: after a failure the last that was known stays beside it. */
export class JobWatch {
  constructor({ api, id, hidden = () => false }) {
    this.api = api;
    this.path = `v1/jobs/${encodeURIComponent(id)}`;
    this.hidden = hidden;
    this.state = makeStore({ job: undefined, error: undefined });
    this.over = new AbortController();
    this.nudge = () => {};
    this.run = this.#watch();
  }

  close() {
    this.over.abort();
    this.nudge();
  }

  /** Look again now: something was done to it from here. */
  look() {
    this.again = true;
    this.nudge();
  }

  async #watch() {
    const { signal } = this.over;
    let failures = 0;
    while (!signal.aborted) {
      try {
        this.state.set({ job: await this.#ask(signal), error: undefined });
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        this.state.set({ error });
        failures += 1;
      }
      await this.#pause(pauseAfter(this.state.get(), failures));
    }
  }

  async #ask(signal) {
    const waits = this.state.get().job !== undefined && !this.again;
    this.again = false;
    return plainly(await this.api.exact(this.path, waits ? { waitMs: WAIT_MS } : {}, { signal }));
  }

  // Until it is time, or `look` is called; a page in the background waits on.
  async #pause(ms) {
    do {
      await new Promise((resolve) => {
        const timer = Number.isFinite(ms) ? setTimeout(resolve, Math.max(ms, this.hidden() ? 1_000 : 0)) : undefined;
        this.nudge = () => (clearTimeout(timer), resolve());
        if (this.again || this.over.signal.aborted) this.nudge();
      });
    } while (this.hidden() && !this.again && !this.over.signal.aborted);
  }
}

/** The job: what people sent by its digits, what the broker says as numbers that one reckons with. */
export function plainly({ payload, result, ...said }) {
  const job = JSON.parse(JSON.stringify(said));
  if (payload !== undefined) job.payload = payload;
  if (result !== undefined) job.result = result;
  return job;
}

/** How long to wait before looking again; for ever at what can't change. */
export function pauseAfter({ job, error }, failures) {
  if (error?.status === 404) return DEAD_MS;
  if (error !== undefined) return BACKOFF_MS[Math.min(failures - 1, BACKOFF_MS.length - 1)];
  if (ENDS.includes(job.status)) return Infinity;
  return job.status === "dead" ? DEAD_MS : 0;
}
