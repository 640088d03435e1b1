import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { Module } from "../module/module.ts";
import { resolveQueueOptions } from "./options.ts";
import type { ExchangeReply, ExchangeRequest, QueueStore } from "./store.ts";
import { resolveWorkerOptions } from "./worker-settings.ts";
import { QueueWorker } from "./worker.ts";

const EMPTY: ExchangeReply = {
  isOwn: [],
  delivered: [],
  nextInMs: undefined,
  limitedMs: 0,
  dueRepeats: [],
  now: 0,
  corrupt: 0,
  isMore: false,
};

const job = (id: string): ExchangeReply["delivered"][number] => ({
  id,
  record: Buffer.from('{"attempt":1,"attempts":3,"priority":0}'),
  payload: Buffer.from('"x"'),
});

interface Exchange {
  readonly request: ExchangeRequest;
  answer(reply: Partial<ExchangeReply>): void;
  fail(): void;
}

/** Exchanges and wakes are answered by the test. */
function scripted(concurrency: number): {
  readonly worker: QueueWorker<string, unknown>;
  readonly exchanges: Exchange[];
  readonly reports: string[];
  readonly wakes: (() => void)[];
  readonly ends: (() => void)[];
  readonly clock: TestClock;
} {
  const clock = new TestClock();
  const exchanges: Exchange[] = [];
  const reports: string[] = [];
  const wakes: (() => void)[] = [];
  const ends: (() => void)[] = [];
  const blocking = {
    call: () => new Promise((resolve) => wakes.push(() => resolve(["wake", "w", "0"]))),
    close: () => Promise.resolve(),
  };
  const module = {
    clock,
    random: () => 0,
    connection: { open: () => Promise.resolve(blocking) },
    space: { inside: (key: string) => key },
    onDisconnect: () => () => undefined,
    report: (kind: string) => reports.push(kind),
  } as unknown as Module;
  const store = {
    keys: { wake: "wake" },
    begin: () => Promise.resolve(),
    exchange: (request: ExchangeRequest) =>
      new Promise((resolve, reject) =>
        exchanges.push({
          request,
          answer: (reply) => resolve({ ...EMPTY, isOwn: request.outcomes.map(() => true), ...reply }),
          fail: () => reject(new Error("away")),
        }),
      ),
  } as unknown as QueueStore;
  const worker = new QueueWorker<string, unknown>(
    {
      module,
      store,
      queue: resolveQueueOptions<string>({}),
      handler: () => new Promise<void>((resolve) => ends.push(resolve)),
      fire: () => Promise.resolve({ fired: 0, errors: [] }),
      allowed: () => Promise.resolve(),
    },
    resolveWorkerOptions({ concurrency, grace: 0 }),
  );
  return { worker, exchanges, reports, wakes, ends, clock };
}

it("a wake that comes before the reply of an older exchange is not forgotten", async () => {
  const { worker, exchanges, wakes, ends } = scripted(2);
  await expect.poll(() => exchanges.length).toBe(1);
  exchanges[0]!.answer({ delivered: [job("1-1")] });
  await expect.poll(() => wakes.length).toBe(1);
  ends[0]!();
  await expect.poll(() => exchanges.length).toBe(2);
  // Added after this exchange was carried out; its wake is here first.
  wakes[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  exchanges[1]!.answer({});
  await expect.poll(() => exchanges.length).toBe(3);
  expect(exchanges[2]!.request).toMatchObject({ count: 2, outcomes: [] });
  exchanges[2]!.answer({});
  await worker.stop();
});

it("a wake that comes during the exchange that fills the worker is passed on", async () => {
  const { worker, exchanges, wakes, ends, clock } = scripted(1);
  await expect.poll(() => exchanges.length).toBe(1);
  exchanges[0]!.answer({ nextInMs: 50 });
  await expect.poll(() => wakes.length).toBe(1);
  clock.advance(50);
  await expect.poll(() => exchanges.length).toBe(2);
  wakes[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  exchanges[1]!.answer({ delivered: [job("1-1")] });
  await expect.poll(() => exchanges.length).toBe(3);
  expect(exchanges[2]!.request).toMatchObject({ count: 0, outcomes: [] });
  exchanges[2]!.answer({});
  ends[0]!();
  await expect.poll(() => exchanges.length).toBe(4);
  expect(exchanges[3]!.request).toMatchObject({ count: 1, outcomes: [{ kind: "complete", id: "1-1" }] });
  exchanges[3]!.answer({});
  await worker.stop();
});

it("one exchange at a time; handlers that end meanwhile are reported together; a failure, again", async () => {
  const { worker, exchanges, ends } = scripted(3);
  await expect.poll(() => exchanges.length).toBe(1);
  exchanges[0]!.answer({ delivered: [job("1-1"), job("1-2"), job("1-3")] });
  await expect.poll(() => ends.length).toBe(3);
  ends[0]!();
  await expect.poll(() => exchanges.length).toBe(2);
  ends[1]!();
  ends[2]!();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(exchanges).toHaveLength(2);
  expect(exchanges[1]!.request.outcomes.map(({ id }) => id)).toEqual(["1-1"]);
  exchanges[1]!.answer({});
  await expect.poll(() => exchanges.length).toBe(3);
  expect(exchanges[2]!.request.outcomes.map(({ id }) => id)).toEqual(["1-2", "1-3"]);
  exchanges[2]!.answer({ isOwn: [true, false] });
  await expect.poll(() => worker.stats).toEqual({ delivered: 3, completed: 2, retried: 0, dead: 0, lost: 1 });
  await worker.stop();
});

it("while Redis is away a stopping worker tries to report, for a while, and is quiet from then on", async () => {
  const { worker, exchanges, reports, ends, clock } = scripted(1);
  await expect.poll(() => exchanges.length).toBe(1);
  exchanges[0]!.answer({ delivered: [job("1-1")] });
  await expect.poll(() => ends.length).toBe(1);
  ends[0]!();
  await expect.poll(() => exchanges.length).toBe(2);
  exchanges[1]!.fail();
  await expect.poll(() => reports.length).toBe(1);
  let isStopped = false;
  const stopped = worker.stop().then(() => (isStopped = true));
  // It does not wait for the end of the pause after a failure.
  await expect.poll(() => exchanges.length).toBe(3);
  expect(exchanges[2]!.request).toMatchObject({ count: 0, outcomes: [{ kind: "complete", id: "1-1" }] });
  exchanges[2]!.fail();
  await expect.poll(() => reports.length).toBe(2);
  clock.advance("2s");
  await expect.poll(() => exchanges.length).toBe(4);
  exchanges[3]!.fail();
  await expect.poll(() => reports.length).toBe(3);
  expect(isStopped).toBe(false);
  clock.advance("3s");
  if (exchanges.length === 5) exchanges[4]!.fail();
  await stopped;
  const { length } = exchanges;
  clock.advance("1h");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(exchanges).toHaveLength(length);
});

it("a handler that ends after its worker has stopped reports nothing", async () => {
  const { worker, exchanges, ends, clock } = scripted(1);
  await expect.poll(() => exchanges.length).toBe(1);
  exchanges[0]!.answer({ delivered: [job("1-1")] });
  await expect.poll(() => ends.length).toBe(1);
  const stopped = worker.stop();
  for (let i = 0; i < 4; i += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance("1s");
  }
  await stopped;
  ends[0]!();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(exchanges).toHaveLength(1);
});
