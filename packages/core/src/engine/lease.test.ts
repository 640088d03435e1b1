import { flush, gate, type Gate, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import type { TagVersion } from "../contracts/capabilities.ts";
import { entryKey, rootKeySpace } from "../entry/key.ts";
import { KeyedQueue } from "../primitives/keyed-queue.ts";
import { LinkedSet } from "../primitives/linked-set.ts";
import { TagEvents } from "../tags/tag-events.ts";
import type { EntryLeases } from "../tiers/entry-tier.ts";
import type { Flight } from "./flight.ts";
import { Lease } from "./lease.ts";

const LEASE_MS = 2_000;
const keySpace = rootKeySpace("shop");
const T = "{~shop}::t";
const version = (n: number): TagVersion => ({ hard: `i.${n}`, soft: `i.${n}` });

let clock: TestClock;
let among: LinkedSet<Lease>;
/** The calls of the backend, and of the owner. */
let log: string[];
let isHeld: boolean | Error;
let current: Map<string, TagVersion>;
let asking: Gate<void> | undefined;
let phase: Flight["phase"];

function lease(): Lease {
  const leases: Pick<EntryLeases, "leaseMs" | "renew" | "release"> = {
    leaseMs: LEASE_MS,
    renew: async () => {
      log.push("renew");
      if (isHeld instanceof Error) throw isHeld;
      return isHeld;
    },
    release: async () => void log.push("release"),
  };
  const versions = {
    read: async (tags: readonly string[]) => {
      log.push(`read ${tags.join()}`);
      const found = tags.map((tag) => current.get(tag));
      await asking?.pass();
      return found;
    },
  };
  const flight = {
    key: entryKey(keySpace, "k"),
    get phase() {
      return phase;
    },
    call: { namespace: { remote: { leases, versions } } },
    fence: (by: string) => log.push(`lost by ${by}`),
    hear: () => log.push("unharmed"),
  };
  const context = {
    clock,
    writes: new KeyedQueue(),
    tags: new TagEvents(),
    flights: { wake: () => log.push("released") },
  };
  return new Lease(flight as unknown as Flight, among, context as unknown as ConstructorParameters<typeof Lease>[2]);
}

function held(pinned: ReadonlyMap<string, TagVersion> = new Map([[T, version(1)]])): Lease {
  const one = lease();
  one.granted("w1");
  one.pinned({ at: "i.1", versions: pinned });
  return one;
}

beforeEach(() => {
  clock = new TestClock();
  phase = "loading";
  [among, log, isHeld, current, asking] = [new LinkedSet(), [], true, new Map([[T, version(1)]]), undefined];
});

describe("a lease", () => {
  it("has a token of its own, and is listed from its request to its end", () => {
    const [one, other] = [lease(), lease()];
    expect(one.token).toMatch(/^[\w-]{16}$/);
    expect(one.token).not.toBe(other.token);
    expect([...among]).toEqual([other, one]);
    one.end();
    other.granted("");
    expect([...among]).toEqual([other]);
    other.release();
    expect([...among]).toEqual([]);
  });

  it("is renewed after a quarter of its time while it is held, and not after that", async () => {
    const one = held();
    expect(one.seen).toBe("w1");
    for (let i = 1; i <= 3; i += 1) {
      clock.advance(LEASE_MS / 4);
      await flush();
      expect(log).toEqual(Array.from({ length: i }, () => "renew"));
    }
    one.end();
    clock.advance(LEASE_MS);
    expect(log).toHaveLength(3);
  });

  it("is not renewed before it is granted, nor when it was refused", () => {
    lease();
    lease().end();
    clock.advance(LEASE_MS);
    expect(log).toEqual([]);
  });

  it("goes on if a renewal is not answered, and is lost if another holder has it", async () => {
    held();
    isHeld = new Error("no answer");
    clock.advance(LEASE_MS / 4);
    await flush();
    isHeld = false;
    clock.advance(LEASE_MS / 4);
    await flush();
    clock.advance(LEASE_MS);
    await flush();
    expect([log, among.size]).toEqual([["renew", "renew", "lost by lease"], 0]);
  });

  it("loses nothing by a renewal that its own store overtook: another connection is answered first", async () => {
    held();
    clock.advance(LEASE_MS / 4);
    phase = "storing";
    isHeld = false;
    await flush();
    clock.advance(LEASE_MS / 4);
    await flush();
    expect(log).toEqual(["renew", "renew"]);
    clock.advance(LEASE_MS);
    await flush();
    expect(log).toEqual(["renew", "renew"]);
  });

  it("ignores a renewal that is answered after its end", async () => {
    const one = held();
    isHeld = false;
    clock.advance(LEASE_MS / 4);
    one.end();
    await flush();
    expect(log).toEqual(["renew"]);
  });
});

describe("releasing", () => {
  it("happens once, and is reported when it is done", async () => {
    const one = held();
    one.release();
    one.release();
    expect(log).toEqual(["release"]);
    await flush();
    expect(log).toEqual(["release", "released"]);
  });

  it("one that is only requested is released as soon as it is granted", async () => {
    const one = lease();
    one.release();
    expect(log).toEqual([]);
    one.granted("");
    await flush();
    expect(log).toEqual(["release", "released"]);
    clock.advance(LEASE_MS);
    expect(log).toHaveLength(2);
  });

  it("one that was stored or refused is not released", () => {
    for (const one of [held(), lease()]) {
      one.end();
      one.release();
    }
    expect(log).toEqual([]);
  });

  it("a tag call of this process releases leases with versions of that tag", () => {
    held().releaseUnder(["{~shop}::other"]);
    expect(log).toEqual([]);
    held().releaseUnder(["{~shop}::other", T]);
    expect(log).toEqual(["release"]);
  });
});

describe("a tag that changed elsewhere", () => {
  it("is compared: another hard version loses the lease", async () => {
    const one = held();
    current.set(T, version(2));
    one.tagsChanged([T]);
    await flush();
    expect(log).toEqual([`read ${T}`, "lost by tags", "release", "released"]);
  });

  it("the same version, or none, leaves it", async () => {
    const one = held();
    one.tagsChanged([T]);
    await flush();
    expect(log).toEqual([`read ${T}`, "unharmed"]);
    current.clear();
    one.tagsChanged([T]);
    await flush();
    expect(log).toEqual([`read ${T}`, "unharmed", `read ${T}`]);
  });

  it("another soft version leaves it as well: what it loads is stored, stale", async () => {
    const one = held();
    current.set(T, { ...version(1), soft: "i.2" });
    one.tagsChanged([T]);
    await flush();
    expect(log).toEqual([`read ${T}`]);
  });

  it("one that its loader may still add is not compared", async () => {
    const one = held();
    one.tagsChanged(["{~shop}::late"]);
    await flush();
    expect(log).toEqual([]);
    one.tagsChanged([T]);
    await flush();
    expect(log).toEqual([`read ${T}`, "unharmed"]);
  });

  it("one of another namespace is ignored", async () => {
    held().tagsChanged(["{~shop}:users::t"]);
    await flush();
    expect(log).toEqual([]);
  });

  it("before its versions were pinned is compared when they are", async () => {
    const one = lease();
    one.granted("");
    one.tagsChanged([T]);
    await flush();
    expect(log).toEqual([]);
    current.set(T, version(2));
    one.pinned({ at: "i.1", versions: new Map([[T, version(1)]]) });
    await flush();
    expect(log).toEqual([`read ${T}`, "lost by tags", "release", "released"]);
  });

  it("during a comparison is compared once more", async () => {
    const one = held();
    asking = gate();
    one.tagsChanged([T]);
    await asking.arrived();
    current.set(T, version(2));
    one.tagsChanged([T]);
    asking.open();
    await flush();
    expect(log).toEqual([`read ${T}`, `read ${T}`, "lost by tags", "release", "released"]);
  });

  it("after its end is not compared, nor is what is answered then", async () => {
    const one = held();
    asking = gate();
    current.set(T, version(2));
    one.tagsChanged([T]);
    await asking.arrived();
    one.end();
    asking.open();
    await flush();
    one.tagsChanged([T]);
    await flush();
    expect(log).toEqual([`read ${T}`]);
  });
});
