/** One client in a process of its own, and the figures that its caller sees. */
import { setTimeout as sleep } from "node:timers/promises";
import { answerCalls } from "@hotset/test-servers";
import { atRate } from "../at-rate.ts";
import { zipf } from "../peers/zipf.ts";
import { percentile } from "../trial.ts";
import { CLIENTS, GUARDS, type Client, type Place } from "./clients.ts";

const KEYS = 2_000;
const names = Array.from({ length: KEYS }, (_, i) => `figure:${i}`);
const clients: Client[] = [];

export type Operation = "GET" | "SET" | "90:10";

export interface Suffered {
  readonly calls: number;
  readonly failed: number;
  /** From the fault until the first error; `undefined` without one. */
  readonly firstErrorMs: number | undefined;
  readonly longestMs: number;
  /** The longest time in which no call succeeded. */
  readonly gapMs: number;
  /** Values whose write succeeded. */
  readonly acknowledged: readonly string[];
  readonly neverAnswered: number;
}

const handlers = {
  /** @param count connections; more than one is as many clients */
  async open(kind: string, place: Place, count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) clients.push(await { ...CLIENTS, ...GUARDS }[kind]!(place));
  },
  /** With `limit` calls in flight over all connections. @returns calls a second, as the caller counts */
  async throughput(operation: Operation, bytes: number, limit: number, ms: number): Promise<number> {
    const value = "x".repeat(bytes);
    const next = operation === "90:10" ? zipf(KEYS, 0.99, 7) : undefined;
    let done = 0;
    const startedAt = performance.now();
    const lane = async (client: Client): Promise<void> => {
      while (performance.now() - startedAt < ms) {
        const i = (done += 1);
        const key = names[next === undefined ? i % KEYS : next()]!;
        const isWrite = operation === "SET" || (operation === "90:10" && i % 10 === 0);
        await (isWrite ? client.set(key, value) : client.get(key));
      }
    };
    await Promise.all(Array.from({ length: limit }, (_, i) => lane(clients[i % clients.length]!)));
    return (done / (performance.now() - startedAt)) * 1_000;
  },
  /** GET at a fixed rate, each from the moment at which it was due. */
  async offered(perSecond: number, ms: number): Promise<{ readonly p99Ms: number; readonly perSecond: number }> {
    const client = clients[0]!;
    const { latencies, elapsedMs } = await atRate(perSecond, ms, (i) => client.get(names[i % KEYS]!));
    return { p99Ms: percentile(latencies, 0.99), perSecond: (latencies.length / elapsedMs) * 1_000 };
  },
  /** Needs `--expose-gc`. */
  async memory(): Promise<{ readonly rssMb: number; readonly heapMb: number }> {
    await sleep(200);
    for (let i = 0; i < 3; i += 1) globalThis.gc!();
    const { rss, heapUsed } = process.memoryUsage();
    return { rssMb: rss / 1e6, heapMb: heapUsed / 1e6 };
  },
  /** 100 writes a second that count; `faultAtMs` is when the other side breaks Redis. */
  async suffer(forMs: number, faultAtMs: number, patienceMs: number): Promise<Suffered> {
    const client = clients[0]!;
    const startedAt = performance.now();
    const acknowledged: string[] = [];
    const open = new Map<number, number>();
    let [failed, longestMs, gapMs, succeededAt] = [0, 0, 0, startedAt];
    let firstErrorMs: number | undefined;
    const one = async (i: number): Promise<void> => {
      const began = performance.now() - startedAt;
      open.set(i, began);
      try {
        await client.append("figures", `${i}`);
        acknowledged.push(`${i}`);
        gapMs = Math.max(gapMs, performance.now() - succeededAt);
        succeededAt = performance.now();
      } catch {
        failed += 1;
        firstErrorMs ??= performance.now() - startedAt - faultAtMs;
      }
      longestMs = Math.max(longestMs, performance.now() - startedAt - began);
      open.delete(i);
    };
    let calls = 0;
    while (performance.now() - startedAt < forMs) {
      for (; calls < (performance.now() - startedAt) / 10; calls += 1) void one(calls);
      await sleep(2);
    }
    const endsAt = performance.now() + patienceMs;
    while (open.size > 0 && performance.now() < endsAt) await sleep(10);
    for (const since of open.values()) longestMs = Math.max(longestMs, performance.now() - startedAt - since);
    gapMs = Math.max(gapMs, startedAt + forMs - succeededAt);
    return { calls, failed, firstErrorMs, longestMs, gapMs, acknowledged, neverAnswered: open.size };
  },
};

export type ClientWorker = typeof handlers;
answerCalls(handlers);
