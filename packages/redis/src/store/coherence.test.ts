import { BackendUnavailableError, type CoherenceListener } from "@hotset/core";
import { flush, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { ChangeHub } from "../changes/change-hub.ts";
import { SubscriptionRefusedError } from "../connection/change-notifier.ts";
import { hasHashTag } from "../primitives/hash-slots.ts";
import { RedisCoherence } from "./coherence.ts";
import { decodeUserKey, encodeUserKey, RedisKeys } from "./redis-keys.ts";

/** The encoding changes these characters, or might. */
const PIECES = [
  "{",
  "}",
  "#",
  "%",
  "7B",
  "7D",
  "25",
  "23",
  "%25",
  "%23",
  "%7B",
  "%7D",
  ":",
  "::",
  "~",
  "a",
  "é",
  "{a}",
  "{}",
  " ",
  "\n",
  "\u0000",
  "😀",
];

/** Every key of up to three pieces, and many longer ones. */
function* peculiarKeys(): Generator<string> {
  for (const one of PIECES) {
    yield one;
    for (const two of PIECES) {
      yield one + two;
      for (const three of PIECES) yield one + two + three;
    }
  }
  let seed = 42;
  for (let i = 0; i < 20_000; i++) {
    let key = "";
    for (let length = 0; length < 8; length++) {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      key += PIECES[seed % PIECES.length]!;
    }
    yield key;
  }
}

describe("keys of Redis", () => {
  it.each(["hotset", "a:b", "{shop}"])("are decoded to any key that was given: below %j", (prefix) => {
    const keys = new RedisKeys({ prefix, format: "readable" });
    let count = 0;
    const mistaken: string[] = [];
    for (const user of peculiarKeys()) {
      if (decodeUserKey(encodeUserKey(user)) !== user) mistaken.push(user);
      for (const key of [`::${user}`, `shop::${user}`, `{~shop}:users::${user}`])
        if (keys.decode(keys.entry(key)) !== key) mistaken.push(key);
      count += 1;
    }
    expect(mistaken).toEqual([]);
    expect(count).toBeGreaterThan(30_000);
  });

  it("that other programs wrote are reported as they are, or not at all", () => {
    const keys = new RedisKeys({ prefix: "hotset", format: "readable" });
    expect(keys.tracked).toBe("hotset:");
    expect(keys.decode("hotset:whatever")).toBe("whatever");
    expect(keys.decode("hotset~lease:x")).toBe(undefined);
    expect(keys.decode("hotsets:shop::1")).toBe(undefined);
    expect(keys.decode("other:shop::1")).toBe(undefined);
    expect(hasHashTag("{~shop}::")).toBe(true);
  });

  it("C81: hashed ones are reported as they are, once this process has used them", () => {
    const keys = new RedisKeys({ prefix: "hotset", format: "hashed" });
    const written = new RedisKeys({ prefix: "hotset", format: "hashed" });
    keys.rememberHashed(() => undefined);
    for (const key of ["shop::a", "::a", "shop:users::{x}#%", "{~shop}::user"]) {
      const redisKey = written.entry(key);
      const hashed = redisKey.slice(redisKey.startsWith("hotset::") ? "hotset".length : "hotset:".length);
      expect([keys.decode(redisKey), written.decode(redisKey)]).toEqual([hashed, hashed]);
      expect(hashed).toMatch(/^(.*)::#[\w-]{43}$/);
      expect(hashed.slice(0, hashed.indexOf("::"))).toBe(key.slice(0, key.indexOf("::")));
      keys.entry(key);
      expect(keys.decode(redisKey)).toBe(key);
    }
  });
});

describe("over a channel", () => {
  const keys = new RedisKeys({ prefix: "hotset", format: "readable" });
  const listener = (received: string[]): CoherenceListener => {
    const note = (): void => undefined;
    return {
      now: () => 0,
      changed: (changed) => void received.push(...changed),
      leaseChanged: note,
      tagsChanged: note,
      everythingChanged: note,
      alive: note,
      replaced: () => void received.push("replaced"),
      lost: note,
    };
  };
  const hubOf = (clock = new TestClock()): ChangeHub =>
    new ChangeHub(
      clock,
      () => Promise.resolve(),
      () => [
        { subscribe: () => Promise.resolve(), heartbeat: () => Promise.resolve(true), unsubscribe: () => undefined },
      ],
    );
  const listening = (
    mode: "tracking" | "pubsub",
    hubs: { readonly tracking: ChangeHub | undefined; readonly channel: ChangeHub },
    of = keys,
  ): RedisCoherence =>
    new RedisCoherence({ ...hubs, queue: { clock: new TestClock() } } as never, {
      label: "redis",
      keys: of,
      mode,
      sender: "me",
      maxStalenessMs: 2_000,
      reissueWindowMs: 30_000,
      readTags: () => Promise.resolve([]),
    });

  it("C81 the last change of another cache over the same backend is reported, although that cache has gone when the message comes", async () => {
    const channel = hubOf();
    const coherence = listening("pubsub", { tracking: undefined, channel });
    const received: string[] = [];
    await coherence.attach(listener(received));
    channel.changed([keys.entry("shop::1")], "me");
    expect(received).toEqual([]);
    const end = await coherence.attach(listener([]));
    await end();
    channel.changed([keys.entry("shop::1")], "me");
    channel.changed([keys.entry("shop::2")], "another");
    expect(received).toEqual(["shop::1", "shop::2"]);
  });

  it("C81 a hashed key that is forgotten is reported to all listeners, as later reports cannot name it", async () => {
    const hashed = new RedisKeys({ prefix: "hotset", format: "hashed" });
    const channel = hubOf();
    const coherence = listening("pubsub", { tracking: undefined, channel }, hashed);
    const received: string[] = [];
    const tags: string[] = [];
    const end = await coherence.attach({ ...listener(received), tagsChanged: (changed) => void tags.push(...changed) });
    hashed.entry("shop::first");
    hashed.entry("{~shop}::second");
    for (let i = 0; i < 100_000; i += 1) hashed.entry(`shop::${i}`);
    expect([received.slice(0, 2), tags]).toEqual([["shop::first", "shop::0"], ["{~shop}::second"]]);
    await end();
    for (let i = 0; i < 2_000; i += 1) hashed.entry(`other::${i}`);
    expect(received).toHaveLength(999);
  });

  it("the versions of tags in use are read once for all caches over one backend, not once for each", async () => {
    const clock = new TestClock();
    const hub = hubOf(clock);
    const reads: string[][] = [];
    const coherence = new RedisCoherence({ tracking: hub, channel: hub, queue: { clock } } as never, {
      label: "redis",
      keys,
      mode: "tracking",
      sender: "me",
      maxStalenessMs: 2_000,
      reissueWindowMs: 30_000,
      readTags: (args) => Promise.resolve(reads.push(args)),
    });
    await coherence.attach(listener([]));
    coherence.noteTagsInUse(["MGET", keys.entry("{~shop}::t")]);
    reads.splice(0);
    clock.advance(2_000);
    await Promise.all(Array.from({ length: 200 }, () => coherence.attach(listener([]))));
    expect(reads).toHaveLength(1);
    for (let i = 0; i < 4; i += 1) {
      clock.advance(500);
      await flush();
    }
    expect(reads).toHaveLength(2);
  });

  it("A93 a fault that passes while subscribing is rejected as it is, and a refusal as a ConfigurationError", async () => {
    const fault = new BackendUnavailableError("no answer within 100 ms", { retryable: true });
    const failing = new ChangeHub(
      new TestClock(),
      () => Promise.reject(fault),
      () => [],
    );
    for (const mode of ["tracking", "pubsub"] as const) {
      const coherence = listening(mode, { tracking: failing, channel: failing });
      expect(await coherence.attach(listener([])).catch((error: unknown) => error)).toBe(fault);
    }
    const refused = new ChangeHub(
      new TestClock(),
      () => Promise.reject(new SubscriptionRefusedError("NOPERM no")),
      () => [],
    );
    await expect(
      listening("pubsub", { tracking: undefined, channel: refused }).attach(listener([])),
    ).rejects.toMatchObject({ code: "INVALID_CONFIGURATION", message: expect.stringContaining("NOPERM no") });
  });
});

describe("reports of own changes", () => {
  const E = "hotset:shop::k";
  /** Attached to what reports, with what it was notified of. */
  const receive = async (mode: "tracking" | "pubsub", link: object = {}) => {
    let report: (redisKeys: readonly string[], sender?: string) => void = () => undefined;
    const hub = {
      attach: (to: { changed: typeof report }) => {
        report = (...given) => to.changed(...given);
        return Promise.resolve(() => Promise.resolve());
      },
    };
    const coherence = new RedisCoherence({ tracking: hub, channel: hub, ...link } as never, {
      label: "redis",
      keys: new RedisKeys({ prefix: "hotset", format: "readable" }),
      mode,
      sender: "me",
      maxStalenessMs: 2_000,
      reissueWindowMs: 30_000,
      readTags: () => Promise.resolve([]),
    });
    const received: string[] = [];
    const listener = {
      changed: (keys: readonly string[]) => received.push(`changed ${keys.join()}`),
      leaseChanged: (keys: readonly string[], order: string) => received.push(`${order} ${keys.join()}`),
    } as never;
    await coherence.attach(listener);
    return { coherence, received, report: (key = E) => report([key]), attach: () => coherence.attach({} as never) };
  };

  it.each<[string, number, "stored" | "renewed" | undefined, readonly string[]]>([
    ["one report until a store is answered is that of the store", 1, "stored", ["exact shop::k"]],
    ["and that of a renewal", 1, "renewed", ["renewed shop::k"]],
    ["more may be those of others", 2, "stored", []],
    ["none says nothing", 0, "stored", []],
    ["one says nothing of a store that was refused", 1, undefined, []],
  ])("%s", async (_, reports, done, expected) => {
    const { coherence, received, report } = await receive("tracking");
    report();
    const counted = coherence.countReports("shop::k")!;
    const another = coherence.countReports("shop::other")!;
    for (let i = 0; i < reports; i += 1) report();
    report("hotset:shop::another");
    received.length = 0;
    counted.end(done);
    another.end("stored");
    expect(received).toEqual(expected);
  });

  it("each of several changes counts from when it was sent", async () => {
    const { coherence, received, report } = await receive("tracking");
    const first = coherence.countReports("shop::k")!;
    report();
    const second = coherence.countReports("shop::k")!;
    report();
    received.length = 0;
    first.end("stored");
    expect(received).toEqual([]);
    second.end("stored");
    expect(received).toEqual(["exact shop::k"]);
  });

  it("are not counted over a channel, on another connection, or where another cache may make them", async () => {
    expect((await receive("pubsub")).coherence.countReports("shop::k")).toBe(undefined);
    expect((await receive("tracking", { changesLink: {} })).coherence.countReports("shop::k")).toBe(undefined);
    const shared = await receive("tracking");
    await shared.attach();
    expect(shared.coherence.countReports("shop::k")).toBe(undefined);
  });
});
