/**
 * Facts about the server that the coherence protocol needs, tested on each kind of server: one that differs is noticed
 * here, and not by its users.
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { RespClient, startOwnRedis, until, type OwnRedis } from "@hotset/test-servers";
import { RedisClient } from "@redis/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Tracker } from "./tracker.ts";

let server: OwnRedis;
let tracker: Tracker;
/** Another client. */
let other: RespClient;

beforeAll(async () => {
  server = await startOwnRedis();
});
afterAll(() => server.stop());

beforeEach(async () => {
  await server.command("FLUSHALL");
  tracker = await Tracker.open(server.url, "f:", "NOLOOP");
  other = RespClient.fromUrl(server.url);
  await other.command("PING");
});
afterEach(() => {
  tracker.close();
  other.close();
});

const send = (...words: string[]): Promise<unknown> => tracker.client.sendCommand(words);

/** Lets the server read all that `steps` send in one turn of its loop, in this order. */
async function inOneTurn<T extends readonly unknown[]>(
  ...steps: { readonly [K in keyof T]: () => Promise<T[K]> }
): Promise<unknown[]> {
  // After that the connections of the steps are no longer among the ready ones of epoll, and come there in their order.
  await server.command("PING");
  server.pause();
  const stat = `/proc/${server.pid}/stat`;
  await until("the server to stand still", async () => (await readFile(stat, "utf8")).includes(") T "));
  const replies: Promise<unknown>[] = [];
  for (const step of steps) {
    replies.push(step());
    // node-redis writes in a later phase of the loop.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  server.resume();
  return Promise.all(replies);
}

describe("F1: NOLOOP", () => {
  it("silences own plain commands and MULTI", async () => {
    await send("SET", "f:k", "1");
    await send("PEXPIRE", "f:k", "100000");
    await send("DEL", "f:k");
    await Promise.all([send("MULTI"), send("SET", "f:k", "2"), send("DEL", "f:k"), send("EXEC")]);
    expect(await tracker.received()).toEqual([]);
    await other.command("SET", "f:k", "1");
    expect(await tracker.received()).toEqual(["f:k"]);
  });

  it("does not silence writes of own scripts, inside MULTI or outside", async () => {
    await send("EVAL", "return redis.call('SET', KEYS[1], '1')", "1", "f:k");
    expect(await tracker.received()).toEqual(["f:k"]);
    await Promise.all([send("MULTI"), send("EVAL", "return redis.call('DEL', KEYS[1])", "1", "f:k"), send("EXEC")]);
    expect(await tracker.received()).toEqual(["f:k"]);
  });
});

describe("NOLOOP, for keys that were read", () => {
  /** Reads keys, and evicts some of them by own writes. @returns those evicted, and those pushed. */
  async function evictByOwnWrites(...mode: string[]): Promise<readonly [evicted: string[], pushed: unknown[]]> {
    await using server = await startOwnRedis();
    const client = new RedisClient({ url: server.url, emitInvalidate: true });
    const pushed = new Set<string>();
    client.on("error", () => undefined).on("invalidate", (key: Buffer | null) => pushed.add(String(key)));
    await client.connect();
    const send = (...words: string[]): Promise<unknown> => client.sendCommand(words);
    await send("CLIENT", "TRACKING", "OFF");
    await send("CLIENT", "TRACKING", "ON", ...mode);
    const keys = Array.from({ length: 300 }, (_, i) => `k${i}`);
    for (const key of keys) await send("SET", key, "x".repeat(500));
    for (const key of keys) await send("GET", key);
    pushed.clear();
    const { used_memory: used } = await server.info("memory");
    await server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", Number(used) + 200_000);
    for (let i = 0; i < 300; i += 1) await send("SET", `z${i}`, "y".repeat(1_000));
    // From here on no other client evicts.
    await send("CONFIG", "SET", "maxmemory", "0");
    const there = await Promise.all(keys.map((key) => server.command("EXISTS", key)));
    const evicted = keys.filter((_, i) => there[i] === 0);
    client.destroy();
    return [evicted, evicted.filter((key) => pushed.has(key))];
  }

  it("evictions that own writes cause are pushed without it alone, so it is not set", async () => {
    const [evicted, pushed] = await evictByOwnWrites();
    expect(evicted.length).toBeGreaterThan(10);
    expect(pushed).toEqual(evicted);
    const [silently, pushedThen] = await evictByOwnWrites("NOLOOP");
    expect(silently.length).toBeGreaterThan(10);
    // Redis may evict some from a timer.
    expect(pushedThen.length).toBeLessThan(silently.length / 2);
  });
});

describe("F2: in one turn of the server's loop", () => {
  it("a key is pushed once", async () => {
    await inOneTurn(
      () => other.command("SET", "f:k", "1"),
      () =>
        Promise.all([other.command("DEL", "f:k"), other.command("SET", "f:k", "2"), other.command("SET", "f:l", "2")]),
    );
    expect((await tracker.received()).toSorted()).toEqual(["f:k", "f:l"]);
    await Promise.all(
      ["MULTI", "SET f:k 3", "SET f:k 4", "DEL f:k", "EXEC"].map((line) => other.command(...line.split(" "))),
    );
    expect(await tracker.received()).toEqual(["f:k"]);
  });

  it("a key counts as changed by the client that wrote last: a foreign write before an own one is not pushed", async () => {
    expect(
      await inOneTurn(
        () => other.command("SET", "f:k", "theirs"),
        () => send("PEXPIRE", "f:k", "100000"),
      ),
    ).toEqual(["OK", 1]);
    expect(await tracker.received()).toEqual([]);
    expect(await other.command("GET", "f:k")).toBe("theirs");
  });

  it("a foreign write after an own one is pushed", async () => {
    expect(
      await inOneTurn(
        () => send("SET", "f:k", "ours"),
        () => other.command("PEXPIRE", "f:k", "100000"),
      ),
    ).toEqual(["OK", 1]);
    expect(await tracker.received()).toEqual(["f:k"]);
  });
});

describe("F3: a removal", () => {
  it("of a missing key is not pushed; with a SET before it, it is, in MULTI and in a script", async () => {
    await other.command("DEL", "f:k");
    await other.command("UNLINK", "f:k");
    expect(await tracker.received()).toEqual([]);
    await Promise.all(["MULTI", "SET f:k 1", "DEL f:k", "EXEC"].map((line) => other.command(...line.split(" "))));
    expect(await tracker.received()).toEqual(["f:k"]);
    await other.command("EVAL", "redis.call('SET', KEYS[1], '1') return redis.call('DEL', KEYS[1])", "1", "f:k");
    expect(await tracker.received()).toEqual(["f:k"]);
    expect(await other.command("EXISTS", "f:k")).toBe(0);
  });

  it("is replaced by PEXPIRE to the remaining life, or PEXPIRE with PERSIST: both are pushed and leave the key as it was", async () => {
    await other.command("RPUSH", "f:k", "a");
    await tracker.received();
    await other.command("EVAL", "redis.call('PEXPIRE', KEYS[1], 100000) redis.call('PERSIST', KEYS[1])", "1", "f:k");
    expect(await tracker.received()).toEqual(["f:k"]);
    expect(await other.command("PTTL", "f:k")).toBe(-1);
    await other.command("PEXPIRE", "f:k", "50000");
    await tracker.received();
    await other.command("EVAL", "redis.call('PEXPIRE', KEYS[1], redis.call('PTTL', KEYS[1]))", "1", "f:k");
    expect(await tracker.received()).toEqual(["f:k"]);
    expect(await other.command("LRANGE", "f:k", 0, -1)).toEqual(["a"]);
  });
});

describe("F4: replies and pushes of one connection", () => {
  it("on the wire: all replies of a turn, then the pushes of what was written in it", async () => {
    await other.command("SET", "f:k", "old");
    const socket = connect(server.port, "127.0.0.1");
    let received = "";
    socket.on("data", (chunk) => (received += String(chunk)));
    socket.write("HELLO 3\r\nCLIENT TRACKING on BCAST PREFIX f:\r\n");
    await expect.poll(() => received).toMatch(/\+OK\r\n$/);
    received = "";
    const pushed = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nf:k\r\n";
    socket.write("GET f:k\r\nSET f:k new\r\nGET f:k\r\nPING\r\n");
    await expect.poll(() => received).toBe(`$3\r\nold\r\n+OK\r\n$3\r\nnew\r\n+PONG\r\n${pushed}`);
    received = "";
    await inOneTurn(
      async () => socket.write("GET f:k\r\n"),
      () => other.command("SET", "f:k", "newer"),
    );
    await expect.poll(() => received).toBe(`$3\r\nnew\r\n${pushed}`);
    socket.destroy();
    await once(socket, "close");
  });

  it("in the program: the push comes before the continuation of a reply that preceded it", async () => {
    await other.command("SET", "f:k", "old");
    await tracker.received();
    const order: string[] = [];
    tracker.client.on("invalidate", () => order.push("push"));
    await inOneTurn(
      () => send("GET", "f:k").then((value) => order.push(String(value))),
      () => other.command("SET", "f:k", "new"),
    );
    await tracker.received();
    expect(order).toEqual(["push", "old"]);
  });

  it("a change acknowledged to any client is pushed before the reply to a later command", async () => {
    for (let i = 0; i < 200; i += 1) {
      await (i % 2 === 0
        ? other.command("SET", `f:${i}`, "1")
        : other.command("EVAL", "return redis.call('SET', KEYS[1], '1')", "1", `f:${i}`));
      expect(await tracker.received()).toEqual([`f:${i}`]);
    }
  });
});

describe("F5: the end of keys", () => {
  it.each(["FLUSHALL", "FLUSHDB"])(
    "%s is pushed as a change of all keys, to the client that called it as well",
    async (command) => {
      await other.command("SET", "f:k", "1");
      await tracker.received();
      await other.command(command);
      expect(await tracker.received()).toEqual([null]);
      await send(command);
      expect(await tracker.received()).toEqual([null]);
    },
  );

  it("an expiry is pushed when the key is deleted, not when its time has come", async () => {
    await server.command("DEBUG", "SET-ACTIVE-EXPIRE", "0");
    try {
      await other.command("SET", "f:k", "1", "PX", "20");
      expect(await tracker.received()).toEqual(["f:k"]);
      await new Promise((resolve) => setTimeout(resolve, 60));
      expect(await tracker.received()).toEqual([]);
      expect(await other.command("GET", "f:k")).toBe(null);
      expect(await tracker.received()).toEqual(["f:k"]);
    } finally {
      await server.command("DEBUG", "SET-ACTIVE-EXPIRE", "1");
    }
  });

  it("an eviction is pushed", async () => {
    await using small = await startOwnRedis({ config: ["maxmemory 3mb", "maxmemory-policy allkeys-lru"] });
    const evicted = await Tracker.open(small.url, "f:");
    await small.command("SET", "f:victim", "1");
    expect(await evicted.received()).toEqual(["f:victim"]);
    for (let i = 0; (await small.command("EXISTS", "f:victim")) === 1 && i < 1_000; i += 1)
      await small.command("SET", `fill:${i}`, "x".repeat(50_000), "PX", "600000");
    expect(await evicted.received()).toEqual(["f:victim"]);
    evicted.close();
  });
});

describe("F6: replies that wait to be sent", () => {
  it("have the limit of subscribers once a connection has subscribed: a large one closes it", async () => {
    await using small = await startOwnRedis({ config: ["client-output-buffer-limit pubsub 1mb 0 0"] });
    await small.command("SET", "large", "x".repeat(2_000_000));
    const tracking = await Tracker.open(small.url, "f:");
    const { client } = tracking;
    // Valkey 9 does not copy the reply of GET, nor count it.
    const read = ["GETRANGE", "large", "0", "-1"];
    expect(await client.sendCommand<string>(read)).toHaveLength(2_000_000);
    await client.subscribe("news", () => undefined);
    expect(await client.sendCommand(["STRLEN", "large"])).toBe(2_000_000);
    await expect(client.sendCommand(read)).rejects.toThrow(/closed/);
    tracking.close();
  });
});
