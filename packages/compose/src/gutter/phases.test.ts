import { BackendUnavailableError, type Coherence, type CoherenceListener } from "@hotset/core";
import { flush, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { beforeEach, expect, it, vi } from "vitest";
import { Side } from "../side.ts";
import { Phases } from "./phases.ts";

const failure = new BackendUnavailableError("main: gone", { tier: "main" });
const fails = (): Promise<never> => Promise.reject(failure);
const answers = (): Promise<string> => Promise.resolve("gutter");

let clock: TestClock;
let side: Side;
let phases: Phases;
let attachments: CoherenceListener[];
let coherence: Coherence;
let listener: CoherenceListener;

beforeEach(() => {
  clock = new TestClock();
  side = new Side(scriptedBackend({ clock, label: "main" }), clock);
  phases = new Phases(side, clock);
  attachments = [];
  listener = { now: () => clock.now(), lost: vi.fn() } as unknown as CoherenceListener;
  coherence = phases.coherence({
    attach(given) {
      attachments.push(given);
      return Promise.resolve(() => Promise.resolve());
    },
  });
});

it("C693 an answer of main that comes in the phase of the gutter does not count, and is given back", async () => {
  const late = gate<string>();
  const unused: unknown[] = [];
  const asked = phases.ask(
    () => late.pass(),
    answers,
    (...given) => unused.push(given),
  );
  phases.fail(phases.now, failure);
  late.open("main");
  expect(await asked).toBe("gutter");
  expect(unused).toEqual([["main", { of: "main" }]]);
});

it("C693 an answer of the gutter that comes in a phase of main does not count, and is given back", async () => {
  await coherence.attach(listener);
  const late = gate<string>();
  const unused: unknown[] = [];
  const asked = phases.ask(
    fails,
    () => late.pass(),
    (...given) => unused.push(given),
  );
  await flush();
  clock.advance(1_000);
  await coherence.attach(listener);
  late.open("gutter");
  expect(await outcome(asked)).toEqual({ status: "rejected", reason: failure });
  expect(unused).toEqual([["gutter", { of: "gutter" }]]);
  expect(await phases.ask(() => Promise.resolve("main"), answers)).toBe("main");
});

it("C690 the error is that of main where the gutter fails, and a refusal of main stays one", async () => {
  const refusal = new Error("no memory");
  expect(await outcome(phases.ask(() => Promise.reject(refusal), answers))).toMatchObject({ reason: refusal });
  expect(phases.now.of).toBe("main");
  expect(await outcome(phases.ask(fails, () => Promise.reject(refusal)))).toMatchObject({ reason: failure });
});

it("C693 each cache loses its link, once, and attaches again a second later", async () => {
  await coherence.attach(listener);
  const { now } = phases;
  phases.fail(now, failure);
  phases.fail(now, failure);
  expect(listener.lost).toHaveBeenCalledExactlyOnceWith(failure);
  const again = coherence.attach(listener);
  clock.advance(999);
  await flush();
  expect([attachments.length, phases.now.of]).toEqual([1, "gutter"]);
  clock.advance(1);
  await again;
  expect([attachments.length, phases.now.of]).toEqual([2, "main"]);
  // The link knows a listener by its identity.
  expect(attachments[0]).toBe(attachments[1]);
});

it("C693 until it attaches again, only the report that another server answers reaches it", async () => {
  // As with Redis: who detaches is forgotten.
  const remembered = new Set<CoherenceListener>();
  const forgetful = phases.coherence({
    attach(given) {
      remembered.add(given);
      return Promise.resolve(async () => void remembered.delete(given));
    },
  });
  let detach: (() => Promise<void>) | undefined;
  const [replaced, alive, lost] = [vi.fn(), vi.fn(), vi.fn(() => void detach?.())];
  listener = { ...listener, replaced, alive, lost };
  detach = await forgetful.attach(listener);
  phases.fail(phases.now, failure);
  const again = forgetful.attach(listener);
  for (const each of remembered) {
    each.replaced();
    each.alive(1);
    each.lost(failure);
  }
  expect([replaced, alive, lost].map(({ mock }) => mock.calls.length)).toEqual([1, 0, 1]);
  clock.advance(1_000);
  detach = await again;
  for (const each of remembered) each.alive(2);
  expect([remembered.size, alive.mock.calls.length]).toEqual([1, 1]);
  await detach();
  expect(remembered.size).toBe(0);
});

it("C693 it does not count that it was attached when main failed once more meanwhile", async () => {
  const attaching = gate();
  const slow = phases.coherence({
    async attach(given) {
      attachments.push(given);
      await attaching.pass();
      return () => Promise.resolve();
    },
  });
  const attached = slow.attach(listener);
  await flush();
  phases.fail(phases.now, failure);
  attaching.open();
  await flush();
  expect([attachments.length, phases.now.of]).toEqual([1, "gutter"]);
  clock.advance(1_000);
  await attached;
  expect([attachments.length, phases.now.of]).toEqual([2, "main"]);
});

it("C693 it is not attached again once it is closed", async () => {
  await coherence.attach(listener);
  phases.fail(phases.now, failure);
  const again = coherence.attach(listener);
  phases.close();
  clock.advance(1_000);
  expect(await outcome(again)).toMatchObject({ status: "rejected" });
  expect(attachments.length).toBe(1);
});

it("C693 the breaker of main is closed then, before any sign of life", async () => {
  const change = (): Promise<unknown> => side.call("write", "k", fails).catch(() => undefined);
  for (let i = 0; i < 5; i += 1) await change();
  clock.advance(1_000);
  // The probe: the next one would be let through two seconds later.
  await change();
  phases.fail(phases.now, failure);
  clock.advance(1_000);
  await coherence.attach(listener);
  expect(await side.call("read", "k", () => Promise.resolve("main"))).toBe("main");
});
