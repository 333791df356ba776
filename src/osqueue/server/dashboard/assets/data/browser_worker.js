// A worker that lives in a page: it claims jobs, does nothing for a while, tells how far it is, and
// completes or fails them. For trying a queue out, against the same requests that every worker makes.
//
// Laws: it never holds more jobs than its concurrency; a claim whose answer was lost is repeated
// under the same claimId, an end with the same lease, so neither counts twice; what it holds when it
// is stopped it gives back; a job whose lease is lost it forgets.

import { makeStore } from "./store.js";
import { uuid7 } from "./ids.js";

const CLAIM_WAIT_MS = 20_000; // below the 30 s after which the page gives up on a request
const HEARTBEAT_MS = 1_000; // often, so that others see the bars move
const BACKOFF_MS = [200, 500, 1_000, 2_000, 5_000];
const SETTLE_MS_MAX = 60_000; // by then the lease is lost

export const CONCURRENCY_MAX = 32;
export const DURATION_MS_MAX = 600_000;

const REST = { state: "stopped", workerId: "", jobs: [], processed: 0, failed: 0, lost: 0 };

/** What to do with one job: for how long to seem busy with it (half to one and a half times as long as is said), and how it ends. */
export function planOf({ durationMs, failureRate }, random) {
  return { durationMs: Math.round(durationMs * (0.5 + random())), fails: random() < failureRate };
}

/** Settings that make sense, from what was written into the form. */
export function settingsOf({ types = [], concurrency, durationMs, failureRate }) {
  return {
    types: [...types],
    concurrency: clamped(Math.round(concurrency), 1, CONCURRENCY_MAX),
    durationMs: clamped(durationMs, 0, DURATION_MS_MAX),
    failureRate: clamped(failureRate, 0, 1),
  };
}

/** How far a job is, 0 to 1. */
export function shareOf({ startedAt, durationMs }, now) {
  return durationMs === 0 ? 1 : clamped((now - startedAt) / durationMs, 0, 1);
}

/**
 * `state` is a store of `{state, workerId, jobs, processed, failed, lost, error}`; `jobs` are those
 * that it holds: `{jobId, type, lease, attempt, startedAt, durationMs, fails}`.
 */
export class BrowserWorker {
  constructor({ api, random = Math.random, now = Date.now }) {
    this.api = api;
    this.random = random;
    this.now = now;
    this.state = makeStore(REST);
    this.timers = new Map();
    this.ending = new Map();
    this.run = undefined;
  }

  start(settings) {
    if (this.run !== undefined) return;
    this.settings = settingsOf(settings);
    this.stopping = new AbortController();
    const workerId = `browser-${uuid7().slice(-12)}`;
    this.state.set({ ...REST, state: "running", workerId, error: undefined });
    this.beating = setInterval(() => this.#heartbeat(), HEARTBEAT_MS);
    this.run = this.#claims(this.stopping.signal);
  }

  /** Take no more jobs, and give back those that it holds, but for those that are just ending. */
  async stop(error) {
    if (this.run === undefined) return;
    this.state.set({ state: "stopping", error });
    this.stopping.abort();
    this.freed?.();
    clearInterval(this.beating);
    this.timers.forEach((timer) => clearTimeout(timer));
    await this.run;
    await Promise.all(this.#jobs().map((job) => this.ending.get(job.lease) ?? this.#giveBack(job)));
    await this.#giveBackUnseen();
    this.run = undefined;
    this.state.set({ state: "stopped" });
  }

  /** Stop at once, for a page that is about to go. Answers the requests that give all back. */
  leave() {
    const { workerId } = this.state.get();
    const jobs = this.#jobs();
    this.stopping?.abort();
    clearInterval(this.beating);
    this.freed?.();
    jobs.forEach((job) => this.#drop(job));
    this.run = undefined;
    this.state.set({ state: "stopped" });
    return jobs.map(({ jobId, lease }) => ({ path: pathOf(jobId, "release"), body: { workerId, lease } }));
  }

  async #claims(signal) {
    let failures = 0;
    this.claimId = uuid7();
    while (!signal.aborted) {
      const free = this.settings.concurrency - this.#jobs().length;
      if (free <= 0) {
        await new Promise((resolve) => (this.freed = resolve));
        continue;
      }
      try {
        this.#take(await this.#claim(free, signal), signal);
        this.claimId = uuid7();
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!isPassing(error)) return void this.#breakDown(error);
        this.state.set({ error });
        await pause(BACKOFF_MS[Math.min(failures++, BACKOFF_MS.length - 1)], signal);
      }
    }
  }

  async #claim(max, signal) {
    const { claimId } = this;
    const { workerId } = this.state.get();
    const { types, concurrency } = this.settings;
    const asked = types.length > 0 ? { types } : {};
    const worker = { concurrency, host: "browser", ...asked };
    const request = { workerId, claimId, max, waitMs: CLAIM_WAIT_MS, worker, ...asked };
    const answer = await this.api.post("v1/jobs/claim", request, { signal });
    return answer.jobs;
  }

  // Jobs that come as it is being stopped are held for that moment, and given back with the others.
  #take(claimed, signal) {
    const held = new Set(this.#jobs().map((job) => job.lease));
    const fresh = claimed.filter((job) => !held.has(job.lease)).map((job) => this.#planned(job));
    this.state.set({ jobs: [...this.#jobs(), ...fresh], error: undefined });
    if (signal.aborted) return;
    for (const job of fresh) {
      this.timers.set(job.lease, setTimeout(() => this.#end(job), job.durationMs));
    }
  }

  #planned({ jobId, type = "", lease, attempt, keepResult = false }) {
    const plan = planOf(this.settings, this.random);
    return { jobId, type, lease, attempt, keepResult, startedAt: this.now(), ...plan };
  }

  // Why it stopped is told; the loop that found out is over when it is waited for.
  #breakDown(error) {
    setTimeout(() => this.stop(error), 0);
  }

  #end(job) {
    this.ending.set(job.lease, this.#finish(job).finally(() => this.ending.delete(job.lease)));
  }

  async #finish(job) {
    const { workerId } = this.state.get();
    const proof = { workerId, lease: job.lease };
    const [word, body] = job.fails ? ["fail", { ...proof, error: FAILURE }] : ["complete", ended(proof, job)];
    const done = await this.#settle(job, () => this.api.post(pathOf(job.jobId, word), body));
    if (!this.#drop(job)) return;
    this.#count(done ? (job.fails ? "failed" : "processed") : "lost");
  }

  async #giveBack(job) {
    const { workerId } = this.state.get();
    const body = { workerId, lease: job.lease };
    await this.api.post(pathOf(job.jobId, "release"), body).catch(() => {}); // its lease runs out
    this.#drop(job);
  }

  // The broker may answer a claim before it sees that it was given up: what we gave back, it may then
  // give us again. The same claim brings that, and nothing new when it wants a type that is nobody's.
  async #giveBackUnseen() {
    const { claimId } = this;
    const { workerId } = this.state.get();
    const nothing = { workerId, claimId, max: 1, types: [workerId] };
    const answer = await this.api.post("v1/jobs/claim", nothing).catch(() => ({ jobs: [] })); // their leases run out
    await Promise.all(answer.jobs.map((job) => this.#giveBack(job)));
  }

  // Whether the broker took it: asked again while the answer may only have been lost, and it runs.
  async #settle(job, ask) {
    const giveUpAt = this.now() + SETTLE_MS_MAX;
    for (let failures = 0; ; failures += 1) {
      try {
        await ask();
        return true;
      } catch (error) {
        const over = this.now() > giveUpAt || this.stopping.signal.aborted || !this.#holds(job);
        if (over || !isPassing(error)) return false;
        await pause(BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)]);
      }
    }
  }

  async #heartbeat() {
    const jobs = this.#jobs();
    if (jobs.length === 0 || this.asked) return;
    this.asked = true;
    const { workerId } = this.state.get();
    const refs = jobs.map((job) => ({ jobId: job.jobId, lease: job.lease, progress: this.#progress(job) }));
    try {
      const { results } = await this.api.post("v1/jobs/heartbeat", { workerId, jobs: refs });
      const lost = new Set(results.filter(({ error }) => error !== undefined).map(({ jobId }) => jobId));
      jobs.filter((job) => lost.has(job.jobId)).forEach((job) => this.#lose(job));
    } catch {
      // The next one is soon; when none gets through, the claims or the end of the job tell why.
    } finally {
      this.asked = false;
    }
  }

  #progress(job) {
    return { done: Math.floor(shareOf(job, this.now()) * 100), total: 100 };
  }

  #lose(job) {
    if (this.#drop(job)) this.#count("lost");
  }

  #drop(job) {
    clearTimeout(this.timers.get(job.lease));
    this.timers.delete(job.lease);
    if (!this.#holds(job)) return false;
    this.state.set({ jobs: this.#jobs().filter((each) => each.lease !== job.lease) });
    this.freed?.();
    return true;
  }

  #holds({ lease }) {
    return this.#jobs().some((job) => job.lease === lease);
  }

  #jobs() {
    return this.state.get().jobs;
  }

  #count(what) {
    this.state.set({ [what]: this.state.get()[what] + 1 });
  }
}

const FAILURE = { type: "PlaygroundError", message: "The playground's worker was told to fail this one." };

function ended(proof, job) {
  return job.keepResult ? { ...proof, result: { ranMs: job.durationMs } } : proof;
}

/** Whether the same request may well succeed a little later. */
export function isPassing({ status }) {
  return status === 0 || status === 307 || status === 429 || status === 503;
}

function pathOf(jobId, word) {
  return `v1/jobs/${encodeURIComponent(jobId)}/${word}`;
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

function clamped(value, least, most) {
  return Math.min(Math.max(Number.isFinite(value) ? value : least, least), most);
}
