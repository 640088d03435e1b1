import { beforeEach, describe, expect, it } from "vitest";
import { KeyAliases } from "../coherence/key-aliases.ts";
import type { Backend } from "../contracts/backend.ts";
import { RemoteChanges } from "./remote-changes.ts";
import type { Heard } from "../coherence/change-subscription.ts";
import type { EngineContext } from "./context.ts";
import type { EntryTier, News } from "../tiers/entry-tier.ts";
import type { CacheEvents } from "../contracts/events.ts";
import { createEvents } from "../primitives/event-port.ts";
import { Guard } from "../coherence/guards.ts";
import { Flights } from "./flights.ts";
import { localKey, keySpaceBelow, rootKeySpace } from "../entry/key.ts";
import { LocalCopies } from "../tiers/local-copies.ts";
import { mapTier } from "../testing/map-tier.ts";
import { scriptedBackend } from "../testing/scripted-backend.ts";
import { TestClock } from "../testing/test-clock.ts";
import { KnownVersions } from "../tags/known-versions.ts";
import { TagEvents } from "../tags/tag-events.ts";
import { Trust } from "../coherence/trust.ts";

const root = rootKeySpace("shop");
const users = keySpaceBelow(root, "users");
const HERE = keySpaceBelow(root, "users", { localOnly: true });
const T = "{~shop}:users::t";

let backend: Backend;
let flights: Flights;
let tags: TagEvents;
let table: KnownVersions;
let tier: ReturnType<typeof mapTier>;
/** What leases, the recovery and the tier of the backend were told. */
let told: string[];
let invalidated: CacheEvents["invalidate"][];
let pending: number;
let changes: RemoteChanges;

function heard(aliases?: KeyAliases): Heard {
  const clock = new TestClock();
  const trust = new Trust();
  const events = createEvents();
  events.invalidate.add((event) => invalidated.push(event));
  backend = scriptedBackend({ clock });
  tags = new TagEvents();
  flights = new Flights(trust);
  table = new KnownVersions(trust, clock, () => tags.forgotten());
  tier = mapTier();
  const context = {
    name: "shop",
    clock,
    events,
    tags,
    trust,
    flights,
    local: new LocalCopies(tier, tags, trust, table, clock, events, "shop"),
    leases: new Set([{ tagsChanged: (changed: readonly string[]) => told.push(`lease: ${changed.join()}`) }]),
    recovery: {
      get size() {
        return pending;
      },
      replay: () => told.push("replay"),
      reissue: () => told.push("reissue"),
    },
  };
  const remote = { heard: (_: Backend, news: News) => told.push(news.what) };
  changes = new RemoteChanges({
    context: context as unknown as EngineContext,
    root,
    table,
    remote: remote as unknown as EntryTier,
    aliases: new Map(aliases === undefined ? [] : [[backend, aliases]]),
  });
  return changes.of(backend);
}

const keep = (at: string): void => tier.set(at, { value: 1, deadAt: Infinity });
const learn = (tag: string): Promise<unknown> =>
  table
    .learning({
      read: async (asked) => asked.map(() => ({ hard: "i.1", soft: "i.1" })),
      pin: () => Promise.reject(new Error("not asked here")),
      unchangedSince: () => Promise.reject(new Error("not asked here")),
      renew: () => Promise.reject(new Error("not asked here")),
    })
    .read([tag]);

beforeEach(() => {
  [told, invalidated, pending] = [[], [], 0];
});

describe("a key that changed", () => {
  it("loses its copy and breaks what is in flight for it; others stay, and so does what never leaves the process", () => {
    const { changed } = heard();
    const at = localKey(users, "k");
    const others = [localKey(root, "k"), localKey(users, "j"), localKey(HERE, "k")];
    const [guard, other] = [new Guard(), new Guard()];
    flights.add(at, guard);
    flights.add(others[1]!, other);
    for (const each of [at, ...others]) keep(each);
    changed(["shop:users::k"]);
    expect([tier.get(at), ...others.map((each) => tier.get(each)?.value)]).toEqual([undefined, 1, 1, 1]);
    expect([guard.isTainted, guard.fencedBy, other.isTainted]).toEqual([true, undefined, false]);
    expect(told).toEqual(["changed"]);
  });

  it("is told as an invalidation from elsewhere where there was a copy", () => {
    const { changed } = heard();
    keep(localKey(users, "k"));
    changed(["shop:users::k", "shop:users::j"]);
    expect(invalidated).toEqual([
      { cache: "shop", namespace: ["users"], scope: "key", mode: "remove", origin: "elsewhere", key: "k" },
    ]);
  });

  it("of another cache, or none, is passed over", () => {
    const { changed } = heard();
    keep("k");
    changed(["shopping::k", "other:shop::k", "k", "", "::k"]);
    expect([tier.get("k")?.value, told]).toEqual([1, []]);
  });
});

describe("a tag that changed", () => {
  it("is not known any more, is told to those who load, and ends the sharing of what was in flight in its namespace", async () => {
    const { tagsChanged } = heard();
    await learn(T);
    const since = tags.sequence;
    tagsChanged([T]);
    expect([table.has(T), told]).toEqual([false, ["tags changed", `lease: ${T}`]]);
    expect([tags.hasEvents(users, since, since), tags.hasEvents(root, since, since)]).toEqual([true, false]);
    expect(tags.wasCalled([T], since)).toBe(false);
  });

  it("that nobody knows costs copies nothing while nothing is in flight", async () => {
    const { tagsChanged } = heard();
    const since = tags.sequence;
    tagsChanged([T]);
    expect(tags.sequence).toBe(since);
    flights.add("any", new Guard());
    tagsChanged([T]);
    expect(tags.sequence).toBe(since + 1);
  });

  it("may come among the keys", async () => {
    const { changed } = heard();
    await learn(T);
    changed([T]);
    expect(table.has(T)).toBe(false);
  });

  it("of another cache is passed over", async () => {
    const { tagsChanged } = heard();
    await learn(T);
    tagsChanged(["{~shopping}::t", "{~other}:users::t"]);
    expect([table.has(T), told]).toEqual([true, []]);
  });
});

describe("names that are no keys", () => {
  it("are those that this process has given; of a tag that is unknown it may be any", () => {
    const aliases = new KeyAliases(
      (key) => `#${key.length}`,
      () => undefined,
    );
    const { changed, tagsChanged } = heard(aliases);
    aliases.add("shop:users::k");
    keep(localKey(users, "k"));
    changed(["#13", "#99"]);
    expect([tier.get(localKey(users, "k")), told]).toEqual([undefined, ["changed"]]);
    flights.add("any", new Guard());
    const since = tags.sequence;
    tagsChanged(["#99"]);
    expect(tags.hasEvents(root, since, since)).toBe(true);
  });

  it("that are forgotten take their copies with them", () => {
    const aliases = new KeyAliases(
      (key) => `#${key.length}`,
      (key) => changes.forgotten(backend, key),
    );
    heard(aliases);
    keep(localKey(users, "k"));
    changes.forgotten(backend, "shop:users::k");
    expect(tier.get(localKey(users, "k"))).toBe(undefined);
  });
});

describe("all of it", () => {
  it("may have changed: nothing is known of tags, and what was held against them is held anew", async () => {
    const { everythingChanged } = heard();
    await learn(T);
    const since = tags.sequence;
    everythingChanged();
    expect([table.size, tags.sequence > since, told]).toEqual([0, true, ["everything changed"]]);
  });

  it("is heard from now on: what is pending is replayed", () => {
    const { attached, detached, replaced } = heard();
    attached();
    pending = 1;
    attached();
    detached(new Error("link lost"));
    replaced();
    expect(told).toEqual(["attached", "attached", "replay", "detached", "reissue"]);
  });
});
