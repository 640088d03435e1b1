import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis as overTcp, type RedisBackend } from "@hotset/redis";
import { http, redis } from "@hotset/redis/http";
import {
  randomPrefix,
  startAclRedis,
  startOwnRedis,
  startRestProxy,
  type OwnRedis,
  type RestProxy,
  type StreamFault,
} from "@hotset/test-servers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RecordingListener } from "./recording-listener.ts";
import { stored } from "./stored.ts";

let server: OwnRedis;
let proxy: RestProxy;
let prefix: string;
const closing: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await startOwnRedis();
});
beforeEach(async () => {
  prefix = randomPrefix();
  proxy = await startRestProxy({ redisPort: server.port });
});
afterEach(async () => {
  for (const each of closing.splice(0)) await each.close();
  await proxy.close();
});
afterAll(() => server.stop());

const open = (token = proxy.token): RedisBackend => {
  const backend = redis(http({ url: proxy.url, token }))
    .keyPrefix(prefix)
    .valueFormat(json())
    .coherence("pubsub")
    .maxStaleness(400)
    .build();
  closing.push(backend);
  return backend;
};
/** Another process, over TCP. */
const openOther = (): RedisBackend => {
  const backend = overTcp(server.url)
    .keyPrefix(prefix)
    .valueFormat(json())
    .coherence("pubsub")
    .responseTimeout("10s")
    .build();
  closing.push(backend);
  return backend;
};
const openCache = (backend: RedisBackend): Cache => {
  const cache = createCache({ name: "shop" }).tier(memory()).tier(backend).defaults({ ttl: "10m" }).build();
  closing.push(cache);
  return cache;
};

describe("changes over server-sent events", () => {
  let backend: RedisBackend;
  let listener: RecordingListener;
  beforeEach(async () => {
    backend = open();
    listener = new RecordingListener();
    await backend.coherence!.attach(listener);
  });

  it("C81: are reported, those of processes over TCP too, and beats give signs of life", async () => {
    expect(backend.coherenceMode).toBe("pubsub");
    await openOther().write("shop::1", stored());
    await open().write("shop::2", stored());
    await expect.poll(() => listener.received).toEqual(["changed shop::1", "changed shop::2"]);
    const { length } = listener.signs;
    expect(length).toBeGreaterThan(0);
    await expect.poll(() => listener.signs.length).toBeGreaterThan(length + 2);
    expect(listener.losses).toEqual([]);
  });

  it("C81: are reported before a confirmation that was asked for behind them", async () => {
    const other = openOther();
    for (let i = 0; i < 20; i += 1) {
      await other.write("shop::1", stored());
      await backend.leases!.confirm("shop::2");
      expect(listener.take()).toEqual(["changed shop::1"]);
    }
  });

  it("own ones are not reported", async () => {
    await backend.write("shop::1", stored());
    await backend.leases!.confirm("shop::1");
    expect(listener.received).toEqual([]);
  });

  it("are reported whole where each event arrives in many pieces, with other scripts and commas in keys", async () => {
    proxy.streams.pieces = 50;
    const other = openOther();
    const keys = ["shop::a b ", "shop::é\u{1f600}, d,e", "shop::data: f", "shop::\0"];
    for (const key of keys) await other.write(key, stored());
    await expect.poll(() => listener.received).toEqual(keys.map((key) => `changed ${key}`));
  });

  it("C88: messages of another form, of other channels, and comments change nothing", async () => {
    await proxy.streams.write(": comment\n\nevent: ping\ndata: {}\n\n");
    for (const text of ["", "message", "message,other~changes,1 me x", `message,${prefix}~changes,2 me x`, "pong"])
      await proxy.streams.write(`data: ${text}\n\n`);
    await openOther().write("shop::1", stored());
    await expect.poll(() => listener.received).toEqual(["changed shop::1"]);
  });

  it.each(["shop::a\nb", "shop::a\r", "shop::\r\n", "shop::a\n"])(
    "a key with line ends, which events do not carry exactly, costs all copies: %j",
    async (key) => {
      await openOther().write(key, stored());
      await expect.poll(() => listener.received).toContain("everything");
    },
  );

  it("a message that the service cuts at a line end costs all copies", async () => {
    await proxy.streams.write(`data: message,${prefix}~changes,1 me ${prefix}:shop::a\nrest of the key\n\n`);
    await expect.poll(() => listener.received).toEqual(["everything", "changed shop::a"]);
  });

  it("a service that subscribes again has missed something: all copies are in doubt", async () => {
    await proxy.streams.write(`data: subscribe,${prefix}~changes,1\n\n`);
    await expect.poll(() => listener.received).toEqual(["everything"]);
    expect(listener.losses).toEqual([]);
  });

  it.for<[string, () => unknown, string]>([
    ["is cut", () => proxy.streams.cut(), "was lost"],
    ["ends properly", () => proxy.streams.end(), "the service ended the stream"],
    ["is frozen", () => proxy.streams.freeze(), "no message within 2000 ms"],
    ["sends comments alone", () => proxy.streams.loseMessages(), "no message within 2000 ms"],
    [
      "ends its subscription",
      () => proxy.streams.write(`data: unsubscribe,${prefix}~changes,0\n\n`),
      "the service ended the subscription",
    ],
    [
      "sends a line without an end",
      () => proxy.streams.write(`data: ${"x".repeat(2 ** 22)}`),
      "an event of more than 4194304 characters",
    ],
  ])("C86: a stream is lost, and gives no sign of life until there is another: it %s", async ([, happens, message]) => {
    await happens();
    await expect.poll(() => listener.losses.length).toBe(1);
    expect(String(listener.losses[0])).toContain(message);
    expect(String(listener.losses[0])).toContain(new URL(proxy.url).host);
    const { length } = listener.signs;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(listener.signs).toHaveLength(length);
    proxy.streams.thaw();
    await backend.coherence!.attach(listener);
    await openOther().write("shop::again", stored());
    await expect.poll(() => listener.received).toContain("changed shop::again");
    expect(listener.signs.length).toBeGreaterThan(length);
    expect(listener.losses).toHaveLength(1);
    await expect.poll(() => proxy.streams.size).toBe(1);
  });

  it("C86: beats that cannot be published give no sign of life, and cost no stream", async () => {
    proxy.fault = 503;
    const { length } = listener.signs;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(listener.signs.length - length).toBeLessThanOrEqual(1);
    expect(listener.losses).toEqual([]);
    proxy.fault = "passes";
    await expect.poll(() => listener.signs.length).toBeGreaterThan(length + 2);
    expect(proxy.streams.asked).toBe(1);
  });

  it("C86: a frozen server gives no sign of life, and no loss, until it continues", async () => {
    server.pause();
    const before = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(listener.signs.filter((sentAtMs) => sentAtMs > before + 50)).toEqual([]);
    server.resume();
    await expect.poll(() => listener.signs.at(-1)!).toBeGreaterThan(before + 600);
    expect(listener.losses).toEqual([]);
  });

  it("C86: another server behind the service counts as replaced, once a stream leads to it", async () => {
    await server.restart();
    await expect.poll(() => listener.losses.length).toBe(1);
    await backend.coherence!.attach(listener);
    await expect.poll(() => listener.received).toContain("replaced");
  });
});

describe("a user of Redis who may not publish", () => {
  it("is refused with a sentence; once the right is withdrawn, copies are in doubt until it is granted again", async () => {
    const acl = await startAclRedis({ appRules: `allkeys allcommands &${prefix}~changes -publish` });
    const grant = (...rules: readonly string[]): Promise<unknown> => acl.command("ACL", "SETUSER", "app", ...rules);
    const { username, password } = new URL(acl.appUrl);
    const ofApp = await startRestProxy({ redisPort: Number(new URL(acl.appUrl).port), username, password });
    closing.push({ close: () => ofApp.close().then(() => acl.stop()) });
    const backend = redis(http({ url: ofApp.url, token: ofApp.token }))
      .keyPrefix(prefix)
      .valueFormat(json())
      .coherence("pubsub")
      .maxStaleness(400)
      .build();
    closing.unshift(backend);
    const listener = new RecordingListener();
    const attach = (): Promise<unknown> => backend.coherence!.attach(listener);
    await expect(attach()).rejects.toThrow("NOPERM");
    await expect(attach()).rejects.toThrow("the token may subscribe and publish");
    await grant("+publish");
    await attach();
    expect(listener.signs.length).toBeGreaterThan(0);
    await grant("-publish");
    await expect.poll(() => listener.losses.length).toBe(1);
    await expect(attach()).rejects.toThrow("NOPERM");
    await grant("+publish");
    await attach();
  });
});

describe("the stream of a backend", () => {
  it("is opened for the first listener, ends with the last one, and with the backend", async () => {
    const backend = open();
    await backend.write("shop::1", stored());
    expect(proxy.streams.asked).toBe(0);
    const detach = [
      await backend.coherence!.attach(new RecordingListener()),
      await backend.coherence!.attach(new RecordingListener()),
    ];
    expect(proxy.streams.size).toBe(1);
    await detach[0]!();
    await backend.leases!.confirm("shop::1");
    expect(proxy.streams.size).toBe(1);
    await detach[1]!();
    await expect.poll(() => proxy.streams.size).toBe(0);
    await backend.coherence!.attach(new RecordingListener());
    await backend.close();
    await expect.poll(() => proxy.streams.size).toBe(0);
  });

  it("is that of the prefix, where backends with several of them share a connection", async () => {
    const at = http({ url: proxy.url, token: proxy.token });
    const listeners = await Promise.all(
      ["a", "ab"].map(async (each) => {
        const backend = redis(at).keyPrefix(`${prefix}${each}`).valueFormat(json()).coherence("pubsub").build();
        closing.push(backend);
        const listener = new RecordingListener();
        await backend.coherence!.attach(listener);
        return { backend, listener };
      }),
    );
    const other = overTcp(server.url).keyPrefix(`${prefix}ab`).valueFormat(json()).coherence("pubsub").build();
    closing.push(other);
    await other.write("shop::1", stored());
    await Promise.all(listeners.map(({ backend }) => backend.leases!.confirm("shop::1")));
    expect(listeners.map(({ listener }) => listener.received)).toEqual([[], ["changed shop::1"]]);
    expect(proxy.streams.size).toBe(2);
  });

  it.for<StreamFault>(["keeps", "stays silent", 200, 429, 500, 503])(
    "C86: is tried again until the service has one, and closing gives it up: %s",
    async (fault) => {
      proxy.streamFault = fault;
      const backend = open();
      const listener = new RecordingListener();
      let isAttached = false;
      const attached = backend.coherence!.attach(listener).then(() => (isAttached = true));
      attached.catch(() => undefined);
      await expect.poll(() => proxy.streams.asked).toBeGreaterThan(typeof fault === "number" ? 2 : 0);
      expect(isAttached).toBe(false);
      expect(listener.signs).toEqual([]);
      const given = open();
      const refused = given.coherence!.attach(new RecordingListener()).catch((error: unknown) => error);
      await given.close();
      expect(await refused).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
      proxy.streamFault = "passes";
      if (typeof fault !== "number") return;
      await attached;
      expect(listener.signs.length).toBeGreaterThan(0);
    },
  );

  it.for<[StreamFault]>([[301], [401], [404]])(
    "is refused with a sentence that says what to check, and has neither the token nor the answer: %s",
    async ([fault]) => {
      proxy.streamFault = fault;
      const error = await open()
        .coherence!.attach(new RecordingListener())
        .catch((reason: Error) => reason);
      expect(error).toMatchObject({ code: "INVALID_CONFIGURATION", operation: "attach" });
      expect(String(error)).toContain(`answered with ${fault}`);
      expect(String(error)).toContain(`/subscribe/${prefix}~changes as server-sent events`);
      expect(`${String(error)} ${String((error as Error).cause)}`).not.toMatch(/secret|<html>/);
    },
  );

  it("no error of it has the token, though fetch quotes it", async () => {
    const quoting = (): Promise<Response> => Promise.reject(new Error("no route for Bearer secret"));
    const given = http({ url: proxy.url, token: proxy.token, fetch: quoting });
    const backend = redis(given).keyPrefix(prefix).valueFormat(json()).coherence("pubsub").build();
    const attached = backend.coherence!.attach(new RecordingListener()).catch((reason: unknown) => reason);
    await backend.close();
    expect(String(await attached)).not.toContain("secret");
  });
});

describe("a cache whose copies follow by a stream", () => {
  const source = (cache: Cache): number => cache.stats().tiers[0]!.hits;

  /** Calls until copies are trusted: then a read of a key that is there is a hit in memory. */
  const untilTrusted = async (cache: Cache): Promise<void> => {
    await expect
      .poll(async () => {
        await cache.getOrSet("any", () => 1);
        const before = source(cache);
        await cache.get("any");
        return source(cache) - before;
      })
      .toBe(1);
  };

  it("answers from memory, and drops a copy when another process changes it", async () => {
    const [cache, other] = [openCache(open()), openCache(openOther())];
    await untilTrusted(cache);
    await other.set("key", "old", { tags: ["t"] });
    expect(await cache.get("key")).toBe("old");
    await other.delete("key");
    await expect.poll(() => cache.get("key")).toBe(undefined);
    await other.set("key", "new", { tags: ["t"] });
    await expect.poll(() => cache.get("key")).toBe("new");
    await other.invalidateTags("t");
    await expect.poll(() => cache.get("key")).toBe(undefined);
  });

  it("its state is up only once changes arrive, detached while they do not, and its copies ask meanwhile", async () => {
    proxy.streamFault = 503;
    const cache = openCache(open());
    const errors: unknown[] = [];
    cache.on("backend:error", ({ error }) => errors.push(error));
    await cache.set("key", 1);
    const before = source(cache);
    expect(await cache.get("key")).toBe(1);
    expect(source(cache)).toBe(before);
    expect(cache.stats().tiers[1]!.state).not.toBe("up");
    proxy.streamFault = "passes";
    await expect.poll(() => cache.stats().tiers[1]!.state).toBe("up");
    await untilTrusted(cache);
    proxy.streamFault = 503;
    proxy.streams.cut();
    await expect.poll(() => cache.stats().tiers[1]!.state).toBe("detached");
    expect(await cache.get("key")).toBe(1);
    proxy.streamFault = "passes";
    await expect.poll(() => cache.stats().tiers[1]!.state).toBe("up");
    await untilTrusted(cache);
    expect(errors).toEqual([]);
  });

  it("C740 what was received holds: in an outage no copy comes back that another process had deleted", async () => {
    const [cache, other] = [openCache(open()), openCache(openOther())];
    await untilTrusted(cache);
    await other.set("heard", "old", { tags: ["heard too"] });
    await other.set("tagged", "old", { tags: ["of a tag"] });
    for (const key of ["heard", "tagged"]) expect(await cache.get(key)).toBe("old");
    await other.delete("heard");
    await other.invalidateTags("of a tag");
    await expect
      .poll(async () => [await cache.get("heard"), await cache.get("tagged")])
      .toEqual([undefined, undefined]);
    proxy.fault = 503;
    proxy.streamFault = 503;
    proxy.streams.cut();
    await expect.poll(() => cache.stats().tiers[1]!.state).toMatch(/detached|down/);
    for (const key of ["heard", "tagged"]) {
      expect(await cache.get(key)).toBe(undefined);
      expect(await cache.getOrSet(key, () => "new")).toBe("new");
    }
  });

  it("C740 a change that the stream could not bring is not answered by an older copy once it is back", async () => {
    const [cache, other] = [openCache(open()), openCache(openOther())];
    await untilTrusted(cache);
    await other.set("key", "old");
    expect(await cache.get("key")).toBe("old");
    proxy.streamFault = 503;
    proxy.streams.cut();
    await expect.poll(() => cache.stats().tiers[1]!.state).toBe("detached");
    await other.set("key", "new");
    // Not received, but asked for.
    expect(await cache.get("key")).toBe("new");
    await other.set("key", "newer");
    proxy.streamFault = "passes";
    await untilTrusted(cache);
    expect(await cache.get("key")).toBe("newer");
  });

  it("C740 a change that the service lost while it kept the stream is not hidden by an older copy", async () => {
    const [cache, other] = [openCache(open()), openCache(openOther())];
    await untilTrusted(cache);
    await other.set("key", "old");
    const held = async (): Promise<unknown> => {
      const before = source(cache);
      const value = await cache.get("key");
      return source(cache) > before ? value : undefined;
    };
    await expect.poll(held).toBe("old");
    proxy.reset();
    proxy.streams.loseMessages();
    await other.delete("key");
    await expect.poll(() => proxy.counts.names["PUBLISH"] ?? 0).toBeGreaterThan(1);
    proxy.streams.thaw();
    await expect.poll(() => cache.get("key")).toBe(undefined);
  });
});
