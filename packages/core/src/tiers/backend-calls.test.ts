import { TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { BackendParts } from "../coherence/parts.ts";
import type { BreakerPolicy } from "../contracts/capabilities.ts";
import { BackendUnavailableError, ConfigurationError } from "../contracts/errors.ts";
import type { TierState } from "../contracts/events.ts";
import { createEvents } from "../primitives/event-port.ts";
import { BackendCalls, type Target } from "./backend-calls.ts";

/** Calls of a backend with parts, whose keys begin with the name of theirs. */
function callsOf(
  names: string[] | undefined,
  onReconnect?: BreakerPolicy["onReconnect"],
  { boundsCalls = true }: { readonly boundsCalls?: boolean } = {},
): {
  readonly calls: BackendCalls;
  readonly clock: TestClock;
  readonly states: TierState[];
  readonly errors: [operation: string, error: Error][];
  fail(part: string, times: number): void;
} {
  const clock = new TestClock();
  const events = createEvents();
  const states: TierState[] = [];
  events["backend:state"].add(({ state }) => states.push(state));
  const errors: [string, Error][] = [];
  events["backend:error"].add(({ operation, error }) => errors.push([operation, error]));
  const calls = new BackendCalls({
    label: "far",
    deadlineMs: 1_000,
    boundsCalls,
    clock,
    events,
    cache: "shop",
    breaker: { failures: 5, waitMs: 1_000, longestWaitMs: 30_000, onReconnect },
    parts: new BackendParts(names && { names: () => names, of: (key) => key.slice(0, 1) }),
  });
  return {
    calls,
    clock,
    states,
    errors,
    fail(part, times) {
      const target: Target = { keySpace: undefined, part };
      for (let i = 0; i < times; i++) calls.failed("read", target, new BackendUnavailableError("no answer", {}));
    },
  };
}

it("a part that fails keeps no call from the others; each is probed by itself", () => {
  const { calls, clock, fail } = callsOf(["a", "b"]);
  fail("a", 5);
  const admits = (): readonly boolean[] => ["a", "b"].map((part) => calls.admits("read", part));
  expect([admits(), calls.retryInMs]).toEqual([[false, true], 0]);
  fail("b", 5);
  expect([admits(), calls.retryInMs]).toEqual([[false, false], 1_000]);
  clock.advance(1_000);
  expect(admits()).toEqual([true, true]);
  calls.answered("b");
  expect(admits()).toEqual([false, true]);
});

it("failures of several parts do not add up", () => {
  const { calls, fail, states } = callsOf(["a", "b", "c"]);
  calls.answered("a");
  for (const part of ["a", "b", "c"]) fail(part, 4);
  expect(["a", "b", "c"].map((part) => calls.admits("read", part))).toEqual([true, true, true]);
  expect(states).toEqual(["up"]);
});

it("the state changes once with a part, however many calls of others are answered meanwhile", () => {
  const { calls, fail, states } = callsOf(["a", "b"]);
  calls.answered("b");
  for (let i = 0; i < 20; i++) {
    fail("a", 1);
    calls.answered("b");
  }
  expect(states).toEqual(["up", "degraded"]);
  fail("b", 5);
  calls.answered("b");
  calls.answered("a");
  expect(states).toEqual(["up", "degraded", "down", "degraded", "up"]);
});

it("a part whose changes are lost, and then its calls, is one change; it answers as soon as it is back", () => {
  const { calls, clock, fail, states } = callsOf(["a", "b"]);
  calls.answered("b");
  calls.partLost("a", undefined);
  fail("a", 5);
  calls.answered("b");
  expect(states).toEqual(["up", "degraded"]);
  calls.alive("a", clock.now());
  expect([states.at(-1), calls.admits("read", "a")]).toEqual(["up", true]);
});

it("a part that refuses to report its changes is reported, and one that cannot be reached is not", () => {
  const { calls, errors, states } = callsOf(["a", "b"]);
  calls.answered("b");
  calls.partLost("b", new BackendUnavailableError("the connection was lost"));
  const refusal = new ConfigurationError("a refuses");
  calls.partLost("a", refusal);
  expect(errors).toEqual([["attach", refusal]]);
  expect(states).toEqual(["up", "degraded"]);
});

it("forgets a part that the backend has no more", () => {
  const names = ["a", "b"];
  const { calls, fail, states } = callsOf(names);
  calls.answered("b");
  fail("a", 5);
  names[0] = "successor";
  calls.answered("b");
  expect(states).toEqual(["up", "degraded", "up"]);
});

it("reads of versions open no breaker where there are parts, and close none", () => {
  const { calls, fail } = callsOf(["a", "b"]);
  fail("a", 5);
  fail(calls.partOfVersionReads, 5);
  calls.answered(calls.partOfVersionReads);
  expect([calls.admits("tags", calls.partOfVersionReads), calls.admits("read", "a")]).toEqual([true, false]);
});

it("has one breaker where there are no parts", () => {
  const { calls, fail, states } = callsOf(undefined);
  fail(calls.partOf("k"), 3);
  fail(calls.partOfVersionReads, 2);
  expect([calls.admits("read", calls.partOf("other")), states]).toEqual([false, ["down"]]);
});

it("an answered heartbeat closes the breaker of its part, and no call has to probe", () => {
  const { calls, clock, fail, states } = callsOf(["a", "b"]);
  calls.answered("a");
  fail("a", 5);
  fail("b", 5);
  clock.advance(100);
  calls.alive("a", clock.now());
  expect(["a", "b"].map((part) => calls.admits("read", part))).toEqual([true, false]);
  expect(states).toEqual(["up", "degraded", "down", "degraded"]);
});

it("answered heartbeats between failures leave their count, since calls may fail all the same", () => {
  const { calls, clock, fail, states } = callsOf(undefined);
  for (let i = 0; i < 5; i += 1) {
    fail("", 1);
    calls.alive("", clock.now());
  }
  expect([calls.admits("read", ""), states]).toEqual([true, ["down", "up"]]);
  fail("", 1);
  expect(states).toEqual(["down", "up"]);
});

it("a heartbeat that was sent before the last failure closes no breaker", () => {
  const { calls, clock, fail, states } = callsOf(undefined);
  const sentAt = clock.now();
  clock.advance(1);
  fail("", 5);
  calls.alive("", sentAt);
  expect([calls.admits("read", ""), states]).toEqual([false, ["down"]]);
});

it("a heartbeat that took as long as a call may take closes no breaker", () => {
  const { calls, clock, fail, states } = callsOf(undefined);
  fail("", 5);
  const sentAt = clock.now();
  clock.advance(1_000);
  calls.alive("", sentAt);
  expect(states).toEqual(["down"]);
  calls.alive("", sentAt + 1);
  expect(states).toEqual(["down", "up"]);
});

it("a failed probe doubles the wait, also after heartbeats that closed no breaker", () => {
  const { calls, clock, fail } = callsOf(undefined);
  const sentAt = clock.now();
  clock.advance(1);
  fail("", 5);
  calls.alive("", sentAt);
  clock.advance(1_000);
  expect(calls.admits("read", "")).toBe(true);
  fail("", 1);
  calls.alive("", sentAt);
  expect(calls.retryInMs).toBe(2_000);
});

it("a new connection closes the breaker of its part; connections are watched from the first failure to the end", () => {
  const listeners = new Set<(part: string) => void>();
  const { calls, fail, states } = callsOf(["a", "b"], (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  });
  calls.answered("a");
  expect(listeners.size).toBe(0);
  fail("a", 5);
  fail("b", 5);
  expect(listeners.size).toBe(1);
  for (const listener of listeners) listener("b");
  expect(["a", "b"].map((part) => calls.admits("read", part))).toEqual([false, true]);
  expect(states).toEqual(["up", "degraded", "down", "degraded"]);
  calls.stop();
  fail("b", 5);
  expect(listeners.size).toBe(0);
});

it.for([{ boundsCalls: true }, { boundsCalls: false }])(
  "C97: each call is counted once, and its failures open the breaker: %o",
  async ({ boundsCalls }) => {
    const { calls, clock, states } = callsOf(undefined, undefined, { boundsCalls });
    const target: Target = { keySpace: undefined, part: "" };
    const run = (call: () => Promise<string>): Promise<unknown> =>
      calls.run("write", target, calls.deadlineMs, call).catch((error: unknown) => error);
    const away = new BackendUnavailableError("no answer", {});

    expect(await run(() => Promise.resolve("done"))).toBe("done");
    expect([calls.meter.write.count, calls.meter.errors, states]).toEqual([1, 0, ["up"]]);

    const broken = [
      () => {
        throw new TypeError("not ready");
      },
      () => undefined as unknown as Promise<string>,
    ];
    for (const call of broken) expect(await run(call)).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: true });
    expect([calls.meter.write.count, calls.meter.errors, states]).toEqual([1, 2, ["up"]]);

    for (let i = 0; i < 5; i++) expect(await run(() => Promise.reject(away))).toBe(away);
    expect([calls.meter.write.count, calls.meter.errors, states]).toEqual([1, 7, ["up", "down"]]);
    let asked = 0;
    const ask = (): Promise<string> => Promise.resolve(`call ${(asked += 1)}`);
    expect(await run(ask)).toBe(calls.refusal("write"));
    expect(asked).toBe(0);

    clock.advance(1_000);
    expect(await run(ask)).toBe("call 1");
    expect([calls.meter.write.count, states]).toEqual([2, ["up", "down", "up"]]);
  },
);

describe("while the subscription to changes is being attached for the first time", () => {
  const answered = ({ calls }: ReturnType<typeof callsOf>): Promise<number> =>
    calls.run("read", { keySpace: undefined, part: "" }, 1_000, () => Promise.resolve(1));

  it("the state is detached from the first answer on, and up is the only event once it is attached", async () => {
    const of = callsOf(undefined);
    of.calls.attaching();
    expect(of.calls.state).toBe("idle");
    await answered(of);
    expect([of.calls.state, of.states]).toEqual(["detached", []]);
    of.calls.attached();
    expect([of.calls.state, of.states, of.errors]).toEqual(["up", ["up"], []]);
  });

  it("one that does not end is an error and an event, once, where calls are answered", async () => {
    const of = callsOf(undefined);
    of.calls.attaching();
    of.calls.unattached();
    expect(of.errors).toEqual([]);
    await answered(of);
    of.calls.unattached();
    await answered(of);
    of.calls.unattached();
    expect([of.calls.state, of.states]).toEqual(["detached", ["detached"]]);
    expect(of.errors).toMatchObject([
      [
        "attach",
        {
          code: "BACKEND_UNAVAILABLE",
          message: expect.stringMatching(/^far: changes by other processes do not arrive/),
        },
      ],
    ]);
    // It keeps no call from the backend.
    expect(of.calls.admits("read", "")).toBe(true);
    of.calls.attached();
    expect(of.states).toEqual(["detached", "up"]);
  });

  it("one that is refused is an event, also behind an answer", async () => {
    const of = callsOf(undefined);
    of.calls.attaching();
    await answered(of);
    of.calls.detached(new BackendUnavailableError("no connection", {}));
    expect([of.calls.state, of.states]).toEqual(["detached", ["detached"]]);
  });

  it("calls that fail are reported themselves", async () => {
    const of = callsOf(undefined);
    of.calls.attaching();
    await answered(of);
    of.fail("", 5);
    of.errors.length = 0;
    of.calls.unattached();
    expect([of.errors, of.calls.state]).toEqual([[], "down"]);
  });
});
