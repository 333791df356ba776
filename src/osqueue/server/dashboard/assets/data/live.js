// Keeps the overview current: pushed over a WebSocket, polled where there is none, tried again when
// nobody answers. A machine over what it is given: sockets, requests, timers and the clock.
// Laws: one socket or one request at a time; a socket that is silent is given up, as half-open ones
// are; `stale` says since when we know nothing; whoever isn't admitted asks no more until restarted.

import { CONNECTING, LIVE, POLLING, STALE } from "./store.js";

/** The broker speaks at least once in each step of the history, which is 5 s. */
export const SILENCE_MS = 15_000;
export const POLL_MS = 2_000;
export const RETRY_MS_MIN = 1_000;
export const RETRY_MS_MAX = 10_000;
export const SOCKET_RETRY_MS_MAX = 30_000;
const WATCH = "overview";

/**
 * `open(): WebSocket` and `poll(since): Promise<document>` reach the broker; `onDocument(document)` and
 * `onState({state, since, error})` are told. `seq()` is that of the last document.
 */
export class Live {
  constructor({ open, poll, seq, onDocument, onState, clock = Date.now, timers = globalThis, random = Math.random }) {
    Object.assign(this, { open, poll, seq, onDocument, onState, clock, timers, random });
    this.run = 0;
    this.heardAt = clock();
    this.state = null;
  }

  /** Begin, or begin anew. */
  start() {
    this.stop();
    this.socketFailures = 0;
    this.pollFailures = 0;
    this.#tell(CONNECTING);
    this.#connect();
  }

  /** Let go of the broker; nothing is told any more. */
  stop() {
    this.run += 1;
    this.timers.clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
  }

  #connect() {
    const run = ++this.run;
    const lost = () => run === this.run && this.#lost();
    try {
      this.socket = this.open();
    } catch {
      lost();
      return;
    }
    this.socket.onopen = () => run === this.run && this.#watch();
    this.socket.onmessage = ({ data }) => run === this.run && this.#hear(data);
    this.socket.onclose = lost;
    this.socket.onerror = lost;
    this.#after(SILENCE_MS, lost);
  }

  #watch() {
    const since = this.seq();
    const params = since === undefined ? {} : { since };
    this.socket.send(JSON.stringify({ id: WATCH, method: "watchOverview", params }));
  }

  #hear(data) {
    const message = parsed(data);
    if (message?.id !== WATCH) return;
    if ("ok" in message) {
      this.#lost();
      return;
    }
    const { run } = this;
    this.#after(SILENCE_MS, () => run === this.run && this.#lost());
    if (!message.event) return;
    this.socketFailures = 0;
    this.#got(message.event, LIVE);
  }

  /** The socket is gone: ask by a request, which also tells why. */
  #lost() {
    this.stop();
    this.socketFailures += 1;
    this.socketAt = this.clock() + this.#socketDelay();
    this.#ask();
  }

  async #ask() {
    const run = ++this.run;
    let document;
    try {
      document = await this.poll(this.seq());
    } catch (error) {
      if (run === this.run) this.#unheard(error);
      return;
    }
    if (run !== this.run) return;
    this.pollFailures = 0;
    this.#got(document, POLLING);
    if (run === this.run) this.#after(this.#socketDue() ? 0 : POLL_MS, () => this.#next());
  }

  #next() {
    if (this.#socketDue()) this.#connect();
    else this.#ask();
  }

  #unheard(error) {
    this.#tell(STALE, this.heardAt, error);
    if (error?.status === 401 || error?.status === 403) return;
    this.pollFailures += 1;
    const { run } = this;
    this.#after(this.#jittered(RETRY_MS_MIN * 2 ** (this.pollFailures - 1), RETRY_MS_MAX), () => run === this.run && this.#ask());
  }

  #got(document, state) {
    this.heardAt = this.clock();
    this.onDocument(document);
    this.#tell(state);
  }

  #tell(state, since = this.clock(), error = undefined) {
    if (state === this.state && error === undefined) return;
    this.state = state;
    this.onState({ state, since, error });
  }

  /** The first loss is tried again as soon as the broker answers, later ones ever more seldom. */
  #socketDelay() {
    if (this.socketFailures <= 1) return 0;
    return this.#jittered(RETRY_MS_MIN * 2 ** this.socketFailures, SOCKET_RETRY_MS_MAX);
  }

  #socketDue() {
    return this.clock() >= this.socketAt;
  }

  #jittered(delay, most) {
    return Math.min(delay, most) * (0.5 + this.random() / 2);
  }

  #after(delay, then) {
    this.timers.clearTimeout(this.timer);
    this.timer = this.timers.setTimeout(then, delay);
  }
}

/** The address of the broker's WebSocket, for a page at `base`. */
export function socketUrl(base) {
  const url = new URL("v1/ws", base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
