import diagnostics from "node:diagnostics_channel";
import { runInNewContext } from "node:vm";
import { gate, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { Consuming } from "../module/module.ts";
import { backoffMs, Delivery, type DeliverySettings, type Handler } from "./delivery.ts";
import { PutBackError, UnrecoverableError } from "./errors.ts";
import type { JobRecord } from "./job.ts";
import type { Extension } from "./store.ts";

const VISIBILITY_MS = 1_000;

function deliveryOf(
  handler: Handler<string, unknown>,
  record: Partial<JobRecord> = {},
  settings: Partial<DeliverySettings<string, unknown>> = {},
): { readonly delivery: Delivery<string, unknown>; readonly clock: TestClock; readonly extensions: Extension[] } {
  const clock = new TestClock();
  const extensions: Extension[] = [];
  const text = JSON.stringify({ attempt: 1, attempts: 3, priority: 0, ...record });
  const delivered = { id: "1700-1", record: Buffer.from(text), payload: Buffer.from('"data"') };
  const delivery = new Delivery<string, unknown>(delivered, "token", {
    handler,
    schema: undefined,
    backoff: { type: "fixed", baseMs: 70, maxMs: 70 },
    timeoutMs: undefined,
    visibilityMs: VISIBILITY_MS,
    abandonAfterMs: 2_000,
    log: () => Promise.resolve(),
    children: () => Promise.resolve([]),
    onAbandoned: () => undefined,
    clock,
    extend: (extension) => {
      extensions.push(extension);
      return Promise.resolve(true);
    },
    onFailed: () => undefined,
    ...settings,
  });
  return { delivery, clock, extensions };
}

const UNREADABLE = "an error that cannot be read";

const mute = (message: PropertyDescriptor): Error => Object.defineProperty(new Error("x"), "message", message);

function revoked(): Error {
  const { proxy, revoke } = Proxy.revocable(new Error("x"), {});
  revoke();
  return proxy;
}

const REPORT = { id: "1700-1", token: "token", delayMs: 0, error: "" };

describe("a delivery", () => {
  it("A57: reports a result as JSON, or none, with its token", async () => {
    const { delivery } = deliveryOf(({ id, data, attempt, attempts, addedAt }) => [
      id,
      data,
      attempt,
      attempts,
      addedAt,
    ]);
    expect(await delivery.run()).toEqual({
      ...REPORT,
      kind: "complete",
      detail: Buffer.from('["1700-1","data",1,3,1700]'),
    });
    expect(await deliveryOf(() => undefined).delivery.run()).toEqual({ ...REPORT, kind: "complete", detail: "" });
  });

  it("A57: a result that is not JSON is not a reason to do the work again", async () => {
    const outcome = await deliveryOf(() => 1n).delivery.run();
    expect(outcome).toMatchObject({ kind: "dead", detail: expect.stringContaining("its result is not JSON") });
  });

  it("A57: a failure is tried again after the back-off of the job, or the queue, until the last attempt", async () => {
    const fails: Handler<string, unknown> = () => {
      throw new Error("no");
    };
    expect(await deliveryOf(fails).delivery.run()).toEqual({ ...REPORT, kind: "retry", detail: "no", delayMs: 70 });
    const own = { backoff: { type: "exponential", baseMs: 100, maxMs: 150 }, attempt: 2 } as const;
    expect(await deliveryOf(fails, own).delivery.run()).toMatchObject({ kind: "retry", delayMs: 150 });
    expect(await deliveryOf(fails, { attempt: 3 }).delivery.run()).toMatchObject({ kind: "dead", detail: "no" });
    const unrecoverable = deliveryOf(() => Promise.reject(new UnrecoverableError("never")));
    expect(await unrecoverable.delivery.run()).toMatchObject({ kind: "dead", detail: "never" });
    const thrown = deliveryOf(() => Promise.reject(Object.create(null) as Error));
    expect(await thrown.delivery.run()).toMatchObject({ kind: "retry", detail: "a value of type object" });
    const long = deliveryOf(() => Promise.reject(new Error(`${"x".repeat(1_999)}\u{1F600}`)));
    expect((await long.delivery.run()).detail).toBe(`${"x".repeat(1_999)}\uFFFD`);
  });

  it.each<[what: string, thrown: Error, kind: string, reason: string]>([
    ["undefined", undefined as never, "retry", "a value of type undefined"],
    ["an error with an object as message", mute({ value: { code: 7 } }), "retry", "a value of type object"],
    ["an error whose message throws", mute({ get: () => JSON.parse("{") as string }), "retry", UNREADABLE],
    ["a proxy that was revoked", revoked(), "retry", UNREADABLE],
    ["a number", 404 as never, "retry", "404"],
    ["a boolean", false as never, "retry", "false"],
    ["a bigint", 7n as never, "retry", "7"],
    ["an error of another realm", runInNewContext('new Error("no stock")') as Error, "retry", "no stock"],
    ["an object with a message", { message: "no stock", code: 7 } as never, "retry", "no stock"],
  ])("an attempt ends, with a reason, although the handler threw %s", async (_what, thrown, kind, reason) => {
    const outcome = await deliveryOf(() => Promise.reject(thrown)).delivery.run();
    expect(outcome).toMatchObject({ kind, detail: reason });
  });

  it("a dead letter has the name and the stack of the error, bounded, where they can be read", async () => {
    const dead = async (thrown: unknown): Promise<unknown> => {
      const { error } = await deliveryOf(() => Promise.reject(thrown), { attempt: 3 }).delivery.run();
      return JSON.parse(error);
    };
    const error = Object.assign(new TypeError("no"), { stack: `TypeError: no\n${"x".repeat(5_000)}` });
    expect(await dead(error)).toEqual({ name: "TypeError", stack: `TypeError: no\n${"x".repeat(3_986)}` });
    expect(await dead(new UnrecoverableError("no"))).toMatchObject({ name: "UnrecoverableError" });
    for (const thrown of [undefined, null, 404, "text", revoked(), { name: 7 }]) expect(await dead(thrown)).toEqual({});
    expect((await deliveryOf(() => Promise.reject(error)).delivery.run()).error).toBe("");
  });

  it("a failure is reported with the error and the job, unless the worker stops", async () => {
    const seen: unknown[] = [];
    const onFailed: DeliverySettings<string, unknown>["onFailed"] = (thrown, job) => seen.push([thrown, job]);
    const error = new Error("no");
    const job = { id: "1700-1", attempt: 1, attempts: 3, addedAt: 1_700, data: "data", outcome: "retry" };
    await deliveryOf(() => Promise.reject(error), {}, { onFailed }).delivery.run();
    await deliveryOf(() => Promise.reject(error), { attempt: 3 }, { onFailed }).delivery.run();
    expect(seen).toEqual([
      [error, job],
      [error, { ...job, attempt: 3, outcome: "dead" }],
    ]);
    await deliveryOf(() => "done", {}, { onFailed }).delivery.run();
    const { delivery } = deliveryOf(() => Promise.reject(error), {}, { onFailed });
    delivery.stop();
    expect(await delivery.run()).toMatchObject({ kind: "return" });
    expect(seen).toHaveLength(2);
  });

  it("A57: a back-off function gets the failed attempts and the error; one that fails ends the job", async () => {
    const error = new Error("no");
    const backoff = (attempt: number, given: unknown): number => (given === error ? attempt * 10 : -1);
    expect(backoffMs(backoff, 4, error)).toBe(40);
    const wrong = deliveryOf(() => Promise.reject(new Error("other")), {}, { backoff });
    expect(await wrong.delivery.run()).toMatchObject({
      kind: "dead",
      detail: expect.stringContaining("other; backoff failed: backoff() must be"),
    });
    expect([1, 2, 3, 60].map((n) => backoffMs({ type: "exponential", baseMs: 10, maxMs: 35 }, n, error))).toEqual([
      10, 20, 35, 35,
    ]);
  });

  it("A57 A102: after its timeout a job has failed once its handler has ended, or was given up and reported", async () => {
    const settled = async (
      handler: Handler<string, unknown>,
      waits: readonly number[],
    ): Promise<readonly [outcome: unknown, abandoned: readonly string[]]> => {
      const abandoned: string[] = [];
      const onAbandoned = ({ code }: { code: string }): void => void abandoned.push(code);
      const { delivery, clock } = deliveryOf(handler, { timeout: 100 }, { onAbandoned });
      let outcome: unknown;
      void delivery.run().then((ended) => (outcome = ended));
      for (const ms of waits) {
        await new Promise((resolve) => setImmediate(resolve));
        clock.advance(ms);
        await new Promise((resolve) => setImmediate(resolve));
      }
      return [outcome, abandoned];
    };
    const deaf = (): Promise<void> => new Promise(() => undefined);
    const polite = (_: unknown, { signal }: { signal: AbortSignal }): Promise<void> =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
    const failed = { kind: "retry", detail: "the handler took longer than 100 ms" };

    expect(await settled(polite, [99])).toEqual([undefined, []]);
    expect(await settled(polite, [99, 1])).toMatchObject([failed, []]);
    // It still runs: its job must not be tried again beside it.
    expect(await settled(deaf, [100, 1_999])).toEqual([undefined, []]);
    expect(await settled(deaf, [100, 1_999, 1])).toMatchObject([failed, ["JOB_ABANDONED"]]);
  });

  it("A102: a handler that ignores its timeout and succeeds is not repeated; one that heeds it is", async () => {
    for (const [heedsAfterMs, kind, text] of [
      [499, "retry", "the handler took longer than 100 ms"],
      [
        500,
        "dead",
        "the handler took longer than 100 ms, and succeeded in the end: its work is done, and is not repeated",
      ],
    ] as const) {
      const held = gate();
      const { delivery, clock } = deliveryOf(() => held.pass(), { timeout: 100 });
      const ran = delivery.run();
      await held.arrived();
      clock.advance(100);
      clock.advance(heedsAfterMs);
      held.open();
      expect(await ran).toMatchObject({ kind, detail: text });
    }
  });

  it("A58: an error of another copy of the package says that its job is not tried again, or put back", async () => {
    const other = (name: string, value: unknown): Error =>
      Object.assign(new Error("of another copy"), { [Symbol.for(`@hotset/redis-toolkit/${name}`)]: value });
    const ran = (error: Error): Promise<unknown> => deliveryOf(() => Promise.reject(error)).delivery.run();
    expect(await ran(other("unrecoverable", true))).toMatchObject({ kind: "dead", detail: "of another copy" });
    expect(await ran(other("put-back", "2s"))).toMatchObject({ kind: "return", delayMs: 2_000 });
    expect(await ran(new PutBackError("later"))).toMatchObject({ kind: "return", delayMs: 0 });
    expect(await ran(new PutBackError("later", { delay: -1 }))).toMatchObject({ kind: "retry", detail: "later" });
  });

  it("A57: a back-off function that returns a promise ends the job, and no rejection ends the process", async () => {
    const backoff = (() => Promise.reject(new Error("of the back-off"))) as unknown as () => number;
    const { delivery } = deliveryOf(() => Promise.reject(new Error("no")), {}, { backoff });
    expect(await delivery.run()).toMatchObject({
      kind: "dead",
      detail: "no; backoff failed: backoff() must return a duration, got a promise",
    });
    await new Promise((resolve) => setImmediate(resolve));
  });

  it("A58: its signal is aborted when the lease ends by this process' clock, not while it is extended", async () => {
    const held = gate();
    let signal: AbortSignal | undefined;
    const { delivery, clock, extensions } = deliveryOf(async (job, context) => {
      signal = context.signal;
      await held.pass();
      await job.progress({ done: 1 });
      await job.heartbeat(5_000);
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
    });
    delivery.extendLease(clock.now());
    const ran = delivery.run();
    clock.advance(VISIBILITY_MS - 1);
    expect(signal?.aborted).not.toBe(true);
    held.open();
    await expect.poll(() => extensions.length).toBe(2);
    expect(extensions).toEqual([
      { id: "1700-1", token: "token", visibilityMs: VISIBILITY_MS, progress: Buffer.from('{"done":1}') },
      { id: "1700-1", token: "token", visibilityMs: 5_000, progress: "" },
    ]);
    await Promise.resolve();
    clock.advance(4_999);
    expect(signal!.aborted).toBe(false);
    clock.advance(1);
    expect(signal!.reason).toMatchObject({ code: "JOB_LOST" });
    expect(await ran).toMatchObject({ kind: "complete" });
  });
});

describe("what came with a job", () => {
  it.each<[what: string, trace: unknown, carrier: Record<string, string>]>([
    ["texts", { traceparent: "00-1", tracestate: "a=b" }, { traceparent: "00-1", tracestate: "a=b" }],
    ["no text", { traceparent: { toString: 1, valueOf: 1 }, tracestate: 1, baggage: "a=b" }, { baggage: "a=b" }],
    ["no fields", "00-1", {}],
    ["a long text", { baggage: "x".repeat(8_192), traceparent: "00-1" }, { traceparent: "00-1" }],
    ["many", Object.fromEntries(Array.from({ length: 99 }, (_, i) => [`f${i}`, ""])), sixteen()],
  ])("is given to subscribers as few short texts: %s", async (_what, trace, carrier) => {
    const seen: unknown[] = [];
    const listen = (started: unknown): void => void seen.push((started as Consuming).carrier);
    diagnostics.subscribe("tracing:hotset:consume:start", listen);
    const { delivery } = deliveryOf(() => "handled", { trace: trace as Record<string, string> });
    expect(await delivery.run()).toMatchObject({ kind: "complete" });
    diagnostics.unsubscribe("tracing:hotset:consume:start", listen);
    expect(seen).toEqual([carrier]);
  });
});

function sixteen(): Record<string, string> {
  return Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`f${i}`, ""]));
}
