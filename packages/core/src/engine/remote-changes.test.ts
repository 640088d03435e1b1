import { flush, gate, mapTier, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import type { ChangeListener } from "../coherence/change-listener.ts";
import { Guard } from "../coherence/guards.ts";
import { BackendParts } from "../coherence/parts.ts";
import { Trust } from "../coherence/trust.ts";
import type { TagVersions } from "../contracts/capabilities.ts";
import type { CacheEvents } from "../contracts/events.ts";
import { localKey, keySpaceBelow, rootKeySpace } from "../entry/key.ts";
import { createEvents } from "../primitives/event-port.ts";
import { KeyedQueue } from "../primitives/keyed-queue.ts";
import { KnownVersions } from "../tags/known-versions.ts";
import { TagEvents } from "../tags/tag-events.ts";
import { LocalCopies } from "../tiers/local-copies.ts";
import type { Recovery } from "../tiers/recovery.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import type { GetOrSetCall } from "./call.ts";
import { Flight } from "./flight.ts";
import { Flights } from "./flights.ts";
import type { Lease } from "./lease.ts";
import { RemoteChanges } from "./remote-changes.ts";

const root = rootKeySpace("shop");
const users = keySpaceBelow(root, "users");
const T = "{~shop}:users::t";

let flights: Flights;
let writes: KeyedQueue;
let tags: TagEvents;
let table: KnownVersions;
let local: ReturnType<typeof mapTier>;
/** The calls that leases, the recovery and the tier of the backend received. */
let calls: string[];
let invalidated: CacheEvents["invalidate"][];
let changes: RemoteChanges;

function listener(): ChangeListener {
  const clock = new TestClock();
  const trust = new Trust({ parts: new BackendParts(), maxStalenessMs: 2_000, backendKey: String, versionsKey: "v" });
  trust.attached();
  trust.alive(clock.now());
  const events = createEvents();
  events.invalidate.add((event) => invalidated.push(event));
  tags = new TagEvents();
  flights = new Flights(trust);
  writes = new KeyedQueue();
  table = new KnownVersions(trust, clock, () => tags.forgotten());
  local = mapTier();
  const context = {
    name: "shop",
    clock,
    events,
    tags,
    trust,
    flights,
    local: new LocalCopies({ tier: local, tags, trust, table, clock, events, cache: "shop", freezesShared: false }),
    writes,
    leases: new Set([{ tagsChanged: (changed: readonly string[]) => calls.push(`lease: ${changed.join()}`) }]),
  };
  const recovery = {
    replayAfresh: () => calls.push("replay"),
    reissue: () => calls.push("reissue"),
    linkLost: (aliveAt: number) => calls.push(`lost since ${aliveAt}`),
    linkBack: () => calls.push("back"),
  };
  const tier: RemoteTier["listener"] = {
    attaching: () => {},
    unattached: () => {},
    attached: () => calls.push("attached"),
    detached: () => calls.push("detached"),
    partLost: () => {},
    alive: () => {},
  };
  changes = new RemoteChanges(context as unknown as ConstructorParameters<typeof RemoteChanges>[0], root, table);
  return changes.listener({ tier, recovery: recovery as unknown as Recovery });
}

const keep = (key: string): void => local.set(key, { value: 1, deadAt: Infinity });
const learning = (seen = (asked: readonly string[]) => asked): TagVersions =>
  table.recording({
    read: async (asked) => seen(asked).map(() => ({ hard: "i.1", soft: "i.1" })),
    pin: () => Promise.reject(new Error("not asked here")),
    unchangedSince: () => Promise.reject(new Error("not asked here")),
    renew: () => Promise.reject(new Error("not asked here")),
  });
const learn = (...names: readonly string[]): Promise<unknown> => learning().read(names);

beforeEach(() => {
  [calls, invalidated] = [[], []];
});

describe("a lease that changed", () => {
  const flightOf = (key: string): Flight => {
    const space = users;
    const call = {
      namespace: {
        keySpace: space,
        remote: { deadlineMs: 1, meter: { answered: 0 }, reads: { time: { timeAt: () => 0 } } },
      },
      tags: [],
      startedAt: 0,
    };
    const one = new Flight(call as unknown as GetOrSetCall, 0, "foreground");
    for (const step of ["queue", "beginLeasing"] as const) one[step]({ end: () => undefined } as unknown as Lease);
    flights.add(localKey(space, key), one);
    one.sendStore({ until: Infinity });
    one.taint();
    return one;
  };

  it("drops no copy, taints no flight and emits nothing; flights of the key look again", () => {
    const { leaseChanged } = listener();
    const at = localKey(users, "k");
    const guard = new Guard();
    flights.add(at, guard);
    keep(at);
    const [one, other] = [flightOf("k"), flightOf("j")];
    one.dropLease();
    leaseChanged(["shop:users::k", "another::k"]);
    expect([local.get(at)?.value, guard.isTainted, one.climb.isWoken, invalidated]).toEqual([1, false, true, []]);
    expect(other.isTainted).toBe(true);
  });

  it("is that of an own store where its order is exact", () => {
    for (const order of ["exact", "loose"] as const) {
      const { leaseChanged } = listener();
      const one = flightOf("k");
      leaseChanged(["shop:users::k"], order);
      expect(one.isTainted).toBe(order === "loose");
    }
  });
});

describe("a key that changed", () => {
  it("drops its copy and taints its flights; other keys stay", () => {
    const { changed } = listener();
    const at = localKey(users, "k");
    const others = [localKey(root, "k"), localKey(users, "j")];
    const [guard, other] = [new Guard(), new Guard()];
    flights.add(at, guard);
    flights.add(others[1]!, other);
    for (const each of [at, ...others]) keep(each);
    changed(["shop:users::k"]);
    expect([local.get(at), ...others.map((each) => local.get(each)?.value)]).toEqual([undefined, 1, 1]);
    expect([guard.isTainted, guard.fencedBy, other.isTainted]).toEqual([true, undefined, false]);
  });

  it("emits an invalidation from elsewhere if there was a copy", () => {
    const { changed } = listener();
    keep(localKey(users, "k"));
    changed(["shop:users::k", "shop:users::j"]);
    expect(invalidated).toEqual([
      { cache: "shop", namespace: ["users"], scope: "key", mode: "remove", origin: "elsewhere", key: "k" },
    ]);
  });

  it("leaves a copy that has the version it has now, and still taints flights", () => {
    const { changed } = listener();
    const at = localKey(users, "k");
    const guard = new Guard();
    flights.add(at, guard);
    local.set(at, { value: 1, deadAt: Infinity, version: "v1" } as never);
    changed(["shop:users::k"], new Map([["shop:users::k", "v1"]]));
    expect([local.get(at)?.value, guard.isTainted, invalidated]).toEqual([1, true, []]);
    changed(["shop:users::k"], new Map([["shop:users::k", "v2"]]));
    expect([local.get(at), invalidated.length]).toEqual([undefined, 1]);
  });

  it("emits nothing while a change of this process is under way, and for a copy that has expired", async () => {
    const { changed } = listener();
    const at = localKey(users, "k");
    const end = gate();
    const own = writes.run(at, () => end.pass());
    keep(at);
    changed(["shop:users::k"]);
    expect([local.get(at), invalidated]).toEqual([undefined, []]);
    end.open();
    await own;
    await flush();
    local.set(at, { value: 1, deadAt: 0 });
    changed(["shop:users::k"]);
    expect([local.get(at), invalidated]).toEqual([undefined, []]);
  });

  it("of another cache, or of none, is ignored", () => {
    const { changed } = listener();
    keep("k");
    changed(["shopping::k", "other:shop::k", "k", "", "::k"]);
    expect([local.get("k")?.value, calls]).toEqual([1, []]);
  });
});

describe("a tag that changed", () => {
  it("is not known any more, is reported to leases, and later calls join no flight of its namespace", async () => {
    const { tagsChanged } = listener();
    await learn(T);
    const since = tags.sequence;
    tagsChanged([T]);
    expect([table.has(T), calls]).toEqual([false, [`lease: ${T}`]]);
    expect([tags.hasEvents(users, since, since), tags.hasEvents(root, since, since)]).toEqual([true, false]);
    expect(tags.wasCalled([T], since)).toBe(false);
  });

  it("emits one event for each namespace, of those that were known", async () => {
    const { tagsChanged } = listener();
    const of = (namespace: string, tag: string): string => `{~shop}${namespace}::${tag}`;
    const below = of(":users:a%3Ab", "x::y");
    await learn(T, below, of("", "r"), of(":users", ""));
    tagsChanged([T, of("", "r"), of("", "never asked for"), below, of(":users", "")]);
    const shared = { cache: "shop", mode: "remove", origin: "elsewhere" } as const;
    expect(invalidated).toEqual([
      { ...shared, namespace: ["users"], scope: "tags", tags: ["t"] },
      { ...shared, namespace: ["users"], scope: "namespace" },
      { ...shared, namespace: [], scope: "tags", tags: ["r"] },
      { ...shared, namespace: ["users", "a:b"], scope: "tags", tags: ["x::y"] },
    ]);
  });

  it("stays known if it is known as it is now; an answer on its way is asked for again", async () => {
    const { tagsChanged } = listener();
    await learn(T);
    let reads = 0;
    const late = learning((asked) => ((reads += 1), asked)).read([T]);
    tagsChanged([T], new Map([[T, "i.1 i.1"]]));
    expect([table.has(T), invalidated]).toEqual([true, []]);
    await late;
    expect(reads).toBe(2);
    tagsChanged([T], new Map([[T, "i.2 i.1"]]));
    expect([table.has(T), invalidated.length]).toEqual([false, 1]);
  });

  it("that is not known leaves copies alone while nothing is in flight", async () => {
    const { tagsChanged } = listener();
    const since = tags.sequence;
    tagsChanged([T]);
    expect(tags.sequence).toBe(since);
    flights.add("any", new Guard());
    tagsChanged([T]);
    expect(tags.sequence).toBe(since + 1);
  });

  it("may be reported among the keys", async () => {
    const { changed } = listener();
    await learn(T);
    changed([T]);
    expect(table.has(T)).toBe(false);
  });

  it("of another cache is ignored", async () => {
    const { tagsChanged } = listener();
    await learn(T);
    tagsChanged(["{~shopping}::t", "{~other}:users::t"]);
    expect([table.has(T), calls]).toEqual([true, []]);
  });
});

describe("a backend", () => {
  it("where everything may have changed: no tag version is known, and copies are checked again", async () => {
    const { everythingChanged } = listener();
    await learn(T);
    const since = tags.sequence;
    everythingChanged();
    expect([table.has(T), tags.sequence > since]).toEqual([false, true]);
  });

  it("where versions of tags stayed as they were: they are known, and copies are not checked", async () => {
    const { everythingChanged } = listener();
    await learn(T);
    const since = tags.sequence;
    everythingChanged(false);
    expect([table.has(T), tags.sequence]).toEqual([true, since]);
  });

  it("that is attached: pending invalidations are replayed", () => {
    const { attached, detached, replaced } = listener();
    attached();
    detached(new Error("link lost"), 7);
    replaced();
    expect(calls).toEqual(["attached", "back", "replay", "detached", "lost since 7", "reissue"]);
  });

  it("of which a part is lost: the window of re-issue stands still until all of it is back", () => {
    const { partLost, alive, partRegained, allBack } = listener();
    partLost("a", new Error("link lost"), 7);
    alive("b", 0);
    partRegained("a");
    allBack();
    expect(calls).toEqual(["lost since 7", "replay", "back"]);
  });
});
