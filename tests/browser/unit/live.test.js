import assert from "node:assert/strict";
import { test } from "node:test";

import { Live, POLL_MS, SILENCE_MS, SOCKET_RETRY_MS_MAX, socketUrl } from "../../../src/osqueue/server/dashboard/assets/data/live.js";

/** Time that passes when it is told to, and what is due in it. */
class World {
  constructor() {
    this.now = 1_000_000;
    this.due = new Map();
    this.count = 0;
    this.sockets = [];
    this.polls = [];
    this.documents = [];
    this.states = [];
    this.seq = undefined;
    this.live = new Live({
      open: () => this.#open(),
      poll: (since) => new Promise((resolve, reject) => this.polls.push({ since, resolve, reject, at: this.now })),
      seq: () => this.seq,
      onDocument: (document) => {
        this.documents.push(document);
        this.seq = document.seq;
      },
      onState: (state) => this.states.push(state),
      clock: () => this.now,
      timers: {
        setTimeout: (fn, ms) => (this.due.set(++this.count, { fn, at: this.now + ms }), this.count),
        clearTimeout: (id) => this.due.delete(id),
      },
      random: () => 1,
    });
  }

  #open() {
    if (this.refuses) throw new Error("no sockets here");
    const socket = { sent: [], send: (text) => socket.sent.push(JSON.parse(text)), close: () => (socket.closed = true) };
    this.sockets.push(socket);
    return socket;
  }

  get state() {
    return this.states.at(-1)?.state;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  hear(message) {
    this.socket.onmessage({ data: typeof message === "string" ? message : JSON.stringify({ id: "overview", ...message }) });
  }

  async pass(ms) {
    const until = this.now + ms;
    for (;;) {
      const [next] = [...this.due].filter(([, { at }]) => at <= until).sort(([, one], [, other]) => one.at - other.at);
      if (!next) break;
      this.now = next[1].at;
      this.due.delete(next[0]);
      next[1].fn();
      await settled();
    }
    this.now = until;
    await settled();
  }

  async answer(document) {
    this.polls.at(-1).resolve(document);
    await settled();
  }

  async refuse(error) {
    this.polls.at(-1).reject(error);
    await settled();
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

async function begun({ live = true } = {}) {
  const world = new World();
  world.live.start();
  if (!live) return world;
  world.socket.onopen();
  world.hear({ open: true });
  world.hear({ event: { seq: "1" } });
  return world;
}

test("it watches by a socket, and is live once a document came", async () => {
  const world = new World();
  world.live.start();
  assert.equal(world.state, "connecting");
  world.socket.onopen();
  assert.deepEqual(world.socket.sent, [{ id: "overview", method: "watchOverview", params: {} }]);
  world.hear({ open: true });
  assert.equal(world.state, "connecting");
  world.hear({ event: { seq: "1" } });
  assert.equal(world.state, "live");
  assert.deepEqual(world.documents, [{ seq: "1" }]);
});

test("what is not ours, or no JSON, is passed over", async () => {
  const world = await begun();
  world.hear("{");
  world.hear("null");
  world.hear(JSON.stringify({ id: "other", event: { seq: "9" } }));
  assert.equal(world.documents.length, 1);
  assert.equal(world.state, "live");
});

test("a socket that ends is asked about by a request, and opened again at once", async () => {
  const world = await begun();
  world.socket.onclose();
  assert.deepEqual(world.polls.map(({ since }) => since), ["1"]);
  await world.answer({ seq: "2" });
  assert.equal(world.state, "polling");
  await world.pass(0);
  assert.equal(world.sockets.length, 2);
  world.socket.onopen();
  assert.deepEqual(world.socket.sent[0].params, { since: "2" });
  world.hear({ event: { seq: "3" } });
  assert.equal(world.state, "live");
});

test("a stream that the broker ends counts as lost", async () => {
  const world = await begun();
  world.hear({ ok: false, error: { _tag: "BrokerLeadershipError" } });
  assert.equal(world.polls.length, 1);
  assert(world.socket.closed);
});

test("a socket that is silent is given up, as a half-open one would be for ever", async () => {
  const world = await begun();
  await world.pass(SILENCE_MS - 1);
  assert.equal(world.polls.length, 0);
  await world.pass(1);
  assert.equal(world.polls.length, 1);
  assert(world.socket.closed);
});

test("a socket that never opens is given up, too", async () => {
  const world = await begun({ live: false });
  await world.pass(SILENCE_MS);
  assert.equal(world.polls.length, 1);
});

test("each word keeps a socket", async () => {
  const world = await begun();
  for (let n = 2; n < 6; n += 1) {
    await world.pass(SILENCE_MS - 1);
    world.hear({ event: { seq: String(n) } });
  }
  assert.equal(world.polls.length, 0);
});

test("a lost socket says nothing any more", async () => {
  const world = await begun();
  const lost = world.socket;
  lost.onclose();
  lost.onerror();
  lost.onclose();
  lost.onmessage({ data: JSON.stringify({ id: "overview", event: { seq: "9" } }) });
  assert.equal(world.polls.length, 1);
  assert.equal(world.documents.length, 1);
});

test("without sockets it polls, and tries them ever more seldom", async () => {
  const world = new World();
  world.refuses = true;
  world.live.start();
  const tried = [];
  world.live.open = () => {
    tried.push(world.now);
    throw new Error("no sockets here");
  };
  for (let n = 0; n < 100; n += 1) {
    await world.answer({ seq: String(n) });
    await world.pass(POLL_MS);
  }
  assert.equal(world.state, "polling");
  assert(world.documents.length >= 90);
  const gaps = tried.slice(1).map((at, index) => at - tried[index]);
  assert(gaps.at(-1) >= SOCKET_RETRY_MS_MAX && gaps.at(-1) <= SOCKET_RETRY_MS_MAX + POLL_MS);
  assert(gaps[0] < gaps.at(-1));
});

test("when nobody answers it says since when, and goes on by itself", async () => {
  const world = await begun();
  const heardAt = world.now;
  await world.pass(3_000);
  world.socket.onclose();
  const error = { status: 0 };
  await world.refuse(error);
  assert.deepEqual(world.states.at(-1), { state: "stale", since: heardAt, error });
  for (let n = 0; n < 5; n += 1) {
    await world.pass(60_000);
    await world.refuse(error);
  }
  assert.equal(world.states.at(-1).since, heardAt);
  await world.pass(60_000);
  await world.answer({ seq: "2" });
  assert.equal(world.state, "polling");
});

test("while nobody answers it asks at growing distances, and never twice at a time", async () => {
  const world = await begun();
  world.socket.onclose();
  await world.pass(600_000);
  assert.equal(world.polls.length, 1);
  for (let n = 0; n < 6; n += 1) {
    await world.refuse({ status: 0 });
    await world.pass(10_000);
  }
  const gaps = world.polls.slice(2).map(({ at }, index) => at - world.polls[index + 1].at);
  assert.equal(world.polls.length, 7);
  assert(gaps.every((gap) => gap <= 20_000));
});

test("who is not admitted asks no more, until begun again", async () => {
  for (const status of [401, 403]) {
    const world = await begun({ live: false });
    world.socket.onclose();
    await world.refuse({ status });
    await world.pass(600_000);
    assert.equal(world.polls.length, 1);
    assert.equal(world.state, "stale");
    world.live.start();
    assert.equal(world.sockets.length, 2);
  }
});

test("what is stopped is silent, also about what was under way", async () => {
  const world = await begun();
  world.socket.onclose();
  world.live.stop();
  const told = world.states.length;
  await world.answer({ seq: "2" });
  await world.pass(600_000);
  assert.equal(world.documents.length, 1);
  assert.equal(world.states.length, told);
  assert.equal(world.sockets.length, 1);
});

test("the socket is beside the page, as secure as it is", () => {
  assert.equal(socketUrl("http://host:8080/"), "ws://host:8080/v1/ws");
  assert.equal(socketUrl("https://host/tools/queue/"), "wss://host/tools/queue/v1/ws");
});
