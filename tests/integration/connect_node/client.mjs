// A client that we did not write, as a worker of the reference system uses it: one task by one
// protocol, told by the arguments; prints what it saw as JSON.
//
// node client.mjs TASK PROTOCOL URL DESCRIPTORS, beside the installed packages.

import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";

const [task, protocol, baseUrl, descriptors] = process.argv.slice(2);

const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)),
);
const ErrorInfo = registry.getMessage("google.rpc.ErrorInfo");

function gzipping() {
  return { sendCompression: compressionGzip, compressMinBytes: 1 };
}

const transports = {
  "connect-json": () => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  "connect-proto": () => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "connect-gzip": () => createConnectTransport({ baseUrl, httpVersion: "1.1", ...gzipping() }),
  "grpc-web": () => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  "grpc-web-gzip": () => createGrpcWebTransport({ baseUrl, httpVersion: "1.1", ...gzipping() }),
  grpc: () => createGrpcTransport({ baseUrl }),
};

const client = createClient(
  registry.getService("osqueue.v1.QueueService"),
  transports[protocol](),
);
const text = new TextEncoder();
const say = (value) => console.log(JSON.stringify(value));
const asJson = (value) => text.encode(JSON.stringify(value));
const ofJson = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

async function refusal(call) {
  try {
    await call();
    return null;
  } catch (error) {
    const refused = ConnectError.from(error);
    const [info] = refused.findDetails(ErrorInfo);
    return { code: Code[refused.code], message: refused.rawMessage, reason: info?.reason };
  }
}

const tasks = {
  // 200 jobs, as the reference's producer and worker handle them.
  async work() {
    const total = 200;
    const numbers = Array.from({ length: total }, (_, n) => n);
    await Promise.all(numbers.map((n) => client.submitJob({ payload: asJson({ n }), type: "node" })));
    const done = [];
    const workers = [1, 2, 3, 4].map(async (which) => {
      const workerId = `node-${which}`;
      for (;;) {
        const job = await client.claimJob({ workerId, types: ["node"] });
        if (!job.jobId) return;
        await client.heartbeat({ jobId: job.jobId, workerId });
        done.push(ofJson(job.payload).n);
        await client.completeJob({ jobId: job.jobId, workerId });
      }
    });
    await Promise.all(workers);
    const stats = await client.getStats({});
    const { jobs } = await client.listJobs({});
    done.sort((a, b) => a - b);
    say({
      each: done.length === total && done.every((n, at) => n === at),
      completedTotal: Number(stats.completedTotal),
      left: jobs.length,
    });
  },

  // Payloads of 5 MB and of 20 MB, there and back.
  async large() {
    for (const size of [5_000_000, 20_000_000]) {
      const payload = asJson("x".repeat(size));
      const { jobId } = await client.submitJob({ payload });
      const job = await client.claimJob({ workerId: "node" });
      const same = Buffer.compare(Buffer.from(job.payload), Buffer.from(payload)) === 0;
      await client.completeJob({ jobId, workerId: "node" });
      say({ size, same, its: job.jobId === jobId });
    }
  },

  async refusals() {
    say({
      unknown: await refusal(() => client.heartbeat({ jobId: "nope", workerId: "w" })),
      invalid: await refusal(() => client.submitJob({ payload: text.encode("{") })),
      nobody: await refusal(() => client.claimJob({})),
      tooLarge: await refusal(() => client.submitJobs({ jobs: [{ payload: asJson("x".repeat(2_000_000)) }] })),
      deadline: await refusal(() => client.claimJob({ workerId: "w", waitMs: 20_000 }, { timeoutMs: 200 })),
    });
  },

  // A claim that is given up while it waits takes no job.
  async abort() {
    const control = new AbortController();
    const waiting = refusal(() =>
      client.claimJob({ workerId: "gone", waitMs: 20_000 }, { signal: control.signal }),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    control.abort();
    const { code } = await waiting;
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { jobId } = await client.submitJob({ payload: asJson(1) });
    const job = await client.claimJob({ workerId: "there" });
    await client.completeJob({ jobId: job.jobId, workerId: "there" });
    say({ code, its: job.jobId === jobId });
  },

  // Events, counts and jobs as they come.
  async streams() {
    const control = new AbortController();
    const kinds = [];
    const updates = client.subscribe({ statsEveryMs: 0 }, { signal: control.signal });
    const seen = (async () => {
      for await (const update of updates) {
        kinds.push(...update.events.map((event) => event.kind));
        if (kinds.includes("completed")) return;
      }
    })();
    const streamId = `stream-${process.pid}`;
    const jobs = client.streamJobs({ workerId: "node", credit: 1, streamId }, { signal: control.signal });
    const payloads = [];
    const worked = (async () => {
      for await (const { jobs: sent } of jobs) {
        for (const job of sent) {
          payloads.push(ofJson(job.payload));
          await client.completeJob({ jobId: job.jobId, workerId: "node", lease: job.lease });
          if (payloads.length === 3) return;
          await client.addCredit({ streamId, total: BigInt(payloads.length + 1) });
        }
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (const n of [1, 2, 3]) await client.submitJob({ payload: asJson(n) });
    await worked;
    await seen;
    control.abort();
    say({ payloads, kinds: [...new Set(kinds)].sort() });
  },

  // The three methods for jobs of any bytes.
  async bytes() {
    const given = [[], [0, 255, 10], [...text.encode('{"a": 1}')], [...text.encode(" 1")]];
    const back = [];
    for (const data of given) {
      const { jobId } = await client.push({ data: Uint8Array.from(data) });
      const job = await client.claim({ workerId: "go" });
      back.push([...job.data]);
      await client.complete({ jobId, workerId: "go" });
    }
    const { empty } = await client.claim({ workerId: "go" });
    say({ same: JSON.stringify(back) === JSON.stringify(given), empty });
  },
};

await tasks[task]();
process.exit(0);
