import type { CoherenceListener } from "@hotset/core";
import { flush, gate, TestClock, type Gate } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { pollChanges, type Changes, type PolledChanges } from "./poll-changes.ts";

const DOWN = new Error("the log cannot be read");

let clock: TestClock;
let received: string[];
/** When the log was read, as milliseconds since the beginning of the test, and from where. */
let asked: [atMs: number, position: number | undefined][];
let log: string[];
let answer: (changes: Changes<number>) => Changes<number> | Promise<Changes<number>>;
let changes: PolledChanges;

const listener = (name = ""): CoherenceListener => ({
  now: () => clock.now(),
  changed: (keys) => received.push(`${name}changed ${keys.join()}`),
  leaseChanged: (keys) => received.push(`${name}lease ${keys.join()}`),
  tagsChanged: (tags) => received.push(`${name}tags ${tags.join()}`),
  everythingChanged: () => received.push(`${name}everything`),
  alive: (sentAtMs) => received.push(`${name}alive ${sentAtMs - 1_000}`),
  replaced: () => received.push(`${name}replaced`),
  lost: (error) => received.push(`${name}lost ${(error as Error).message}`),
});

/** Time passes in steps of a millisecond, and what begins in each ends in it. */
async function pass(ms: number): Promise<void> {
  for (let step = 0; step < ms; step += 1) {
    clock.advance(1);
    await flush();
  }
}

/** When the log was read since the last call. */
const askedAt = (): number[] => asked.splice(0).map(([atMs]) => atMs);

beforeEach(() => {
  clock = new TestClock();
  [received, asked, log] = [[], [], []];
  answer = (given) => given;
  changes = pollChanges<number>(
    (position) => {
      asked.push([clock.now() - 1_000, position]);
      return answer({ position: log.length, keys: log.slice(position ?? log.length) });
    },
    { clock },
  );
});

describe("the changes of a log", () => {
  it("are reported from the attachment on, each once, and the sign of life after them", async () => {
    log.push("before");
    await changes.coherence.attach(listener());
    expect(received.splice(0)).toEqual(["alive 0"]);
    log.push("a", "b");
    await pass(20);
    expect(received.splice(0)).toEqual(["changed a,b", "alive 20"]);
    await pass(20);
    expect(received).toEqual(["alive 40"]);
    expect(asked).toEqual([
      [0, undefined],
      [20, 1],
      [40, 3],
    ]);
  });

  it("are lost where an answer does not come, and the next attachment reports again", async () => {
    await changes.coherence.attach(listener());
    answer = () => new Promise<never>(() => undefined);
    await pass(20);
    received.length = 0;
    clock.advance(5_000);
    await flush();
    expect(received.splice(0)).toEqual(["lost pollChanges: no answer within 5000 ms"]);
    const attaching = changes.coherence.attach(listener());
    clock.advance(5_000);
    await expect(attaching).rejects.toThrow("pollChanges: no answer within 5000 ms");
    answer = (given) => given;
    await changes.coherence.attach(listener());
    log.push("a");
    await pass(20);
    expect(received.slice(1)).toEqual(["changed a", "alive 10040"]);
  });

  it("are reported by kind", async () => {
    await changes.coherence.attach(listener());
    received.length = 0;
    answer = ({ position }) => ({ position, isCut: true, keys: ["a"], leases: ["b"], tags: ["t", "u"] });
    await pass(20);
    expect(received).toEqual(["everything", "changed a", "lease b", "tags t,u", "alive 20"]);
  });

  it("go to every listener until it is detached, the same one twice too, and are asked for once", async () => {
    const twice = listener();
    const [detach] = await Promise.all([
      changes.coherence.attach(twice),
      changes.coherence.attach(twice),
      changes.coherence.attach(listener("other: ")),
    ]);
    received.length = 0;
    log.push("a");
    await pass(20);
    expect(received.filter((each) => each.includes("changed"))).toEqual(["changed a", "changed a", "other: changed a"]);
    await detach();
    received.length = 0;
    log.push("b");
    await pass(20);
    expect(received.filter((each) => each.includes("changed"))).toEqual(["changed b", "other: changed b"]);
    expect(askedAt()).toEqual([0, 20, 40]);
  });

  it("are not asked for without a listener, nor after stop, which a late answer finds ended", async () => {
    const detach = await changes.coherence.attach(listener());
    await detach();
    await pass(100);
    await changes.catchUp();
    expect(askedAt()).toEqual([0]);

    await changes.coherence.attach(listener());
    const late = gate<Changes<number>>();
    answer = () => late.pass();
    await pass(20);
    changes.stop();
    received.length = 0;
    late.open({ position: 1, keys: ["late"] });
    await pass(100);
    expect(received).toEqual([]);
    expect(askedAt()).toEqual([100, 120]);
  });

  it("are not asked for after a stop that comes before the first answer, and no attachment stays", async () => {
    const first = gate<Changes<number>>();
    answer = () => first.pass();
    const attaching = changes.coherence.attach(listener());
    await first.arrived();
    changes.stop();
    await expect(attaching).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });

    answer = (given) => given;
    await changes.coherence.attach(listener());
    expect(received.splice(0)).toEqual(["alive 0"]);
    changes.stop();
    first.open({ position: 0 });
    await pass(100);
    expect([received, askedAt()]).toEqual([[], [0, 0]]);

    await changes.coherence.attach(listener());
    expect(received).toEqual(["alive 100"]);
  });
});

describe("the questions", () => {
  it("are asked every 20 ms for 2 s after a use, then each second, and immediately after the next use", async () => {
    await changes.coherence.attach(listener());
    await pass(1_000);
    changes.wake();
    askedAt();
    await pass(2_000);
    expect(askedAt()).toEqual(Array.from({ length: 100 }, (_, i) => 1_020 + 20 * i));
    await pass(3_500);
    expect(askedAt()).toEqual([4_000, 5_000, 6_000]);
    changes.wake();
    changes.wake();
    await pass(40);
    expect(askedAt()).toEqual([6_500, 6_520, 6_540]);
  });

  it("say that copies are trusted for 100 ms, so that a use of the backend follows a pause", () => {
    expect(changes.coherence.maxStalenessMs).toBe(100);
    const slow = pollChanges<number>(() => ({ position: 0 }), { busyMs: 200 });
    expect(slow.coherence.maxStalenessMs).toBe(1_000);
  });

  it("are asked one after another", async () => {
    await changes.coherence.attach(listener());
    const answers: Gate<void>[] = [];
    answer = async (given) => {
      const each = gate<void>();
      answers.push(each);
      await each.pass();
      return given;
    };
    await pass(60);
    expect(askedAt()).toEqual([0, 20]);
    answers[0]!.open();
    await pass(20);
    expect(askedAt()).toEqual([80]);
  });
});

describe("catching up", () => {
  it("asks again where a question is on its way: it may be older", async () => {
    await changes.coherence.attach(listener());
    const first = gate<Changes<number>>();
    answer = () => first.pass();
    await pass(20);
    log.push("acknowledged");
    answer = (given) => given;
    let isCaughtUp = false;
    const both = Promise.all([changes.catchUp(), changes.catchUp()]).then(() => (isCaughtUp = true));
    await flush();
    expect(isCaughtUp).toBe(false);
    received.length = 0;
    first.open({ position: 0 });
    await both;
    expect(received).toEqual(["alive 20", "changed acknowledged", "alive 20"]);
    expect(asked.length).toBe(3);
  });
});

describe("a log that cannot be read", () => {
  it("ends the reports, and never rejects a catching up", async () => {
    await changes.coherence.attach(listener());
    received.length = 0;
    answer = () => Promise.reject(DOWN);
    expect(await changes.catchUp()).toBe(undefined);
    expect(received).toEqual(["lost the log cannot be read"]);
    await pass(100);
    expect(asked.length).toBe(2);
  });

  it("rejects an attachment, and the next one begins where the log is then", async () => {
    answer = () => Promise.reject(DOWN);
    await expect(changes.coherence.attach(listener())).rejects.toBe(DOWN);
    log.push("missed");
    answer = (given) => given;
    await changes.coherence.attach(listener());
    log.push("a");
    await pass(20);
    expect(received).toEqual(["alive 0", "changed a", "alive 20"]);
  });
});
