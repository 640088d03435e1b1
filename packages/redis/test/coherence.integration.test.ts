import { ConfigurationError, json } from "@hotset/core";
import { redis, single, type RedisBackend, type RedisBackendBuilder } from "@hotset/redis";
import { RespClient, startAclRedis, startOwnRedis, startProxy, type AclRedis } from "@hotset/test-servers";
import { outcome } from "@hotset/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RecordingListener } from "./recording-listener.ts";
import { stored } from "./stored.ts";

const quick = (builder: RedisBackendBuilder): RedisBackendBuilder =>
  builder
    .valueFormat(json())
    .maxStaleness(400)
    .backoff({ base: 10, max: 50 })
    .connectTimeout("10s")
    .responseTimeout("10s");

const server = await startOwnRedis();
afterAll(() => server.stop());

const backends: RedisBackend[] = [];
const open = (
  settings: (builder: RedisBackendBuilder) => RedisBackendBuilder = (builder) => builder,
  url = server.url,
): RedisBackend => {
  const backend = settings(quick(redis(url))).build();
  backends.push(backend);
  return backend;
};
afterEach(async () => {
  await Promise.all(backends.splice(0).map((backend) => backend.close()));
});

/** Flags of the clients that are not the tests' own, as CLIENT LIST has them. */
async function flags(): Promise<readonly string[]> {
  const clients = String(await server.command("CLIENT", "LIST"))
    .trim()
    .split("\n");
  return clients
    .filter((line) => line.includes("lib-name=node-redis") || line.includes("resp=3"))
    .map((line) => / flags=(\w+)/.exec(line)![1]!);
}

describe("a change by another client", () => {
  let backend: RedisBackend;
  let listener: RecordingListener;
  beforeEach(async () => {
    await server.command("FLUSHALL");
    backend = open();
    listener = new RecordingListener();
    await backend.coherence!.attach(listener);
  });

  /** Reads the keys: changes are pushed once to a connection that has read the key. */
  const watch = (...keys: readonly string[]): Promise<unknown> => Promise.all(keys.map((key) => backend.read(key)));

  async function heardOf(...commands: readonly (readonly (string | number)[])[]): Promise<readonly string[]> {
    await watch("shop::1", "shop::2", "shop::3", "::root", "{~shop}::user");
    listener.take();
    for (const command of commands) await server.command(...command);
    // A reply on the tracking connection: the messages of all changes acknowledged before came first.
    await backend.ping();
    return listener.take();
  }

  it("C81: is reported before the reply to any later command, for every command that changes a key", async () => {
    expect(await heardOf(["HSET", "hotset:shop::1", "d", "x"])).toEqual(["changed shop::1"]);
    expect(await heardOf(["HSET", "hotset:shop::1", "d", "x"])).toEqual(["changed shop::1"]);
    expect(await heardOf(["PEXPIRE", "hotset:shop::1", 60_000])).toEqual(["changed shop::1"]);
    expect(await heardOf(["PERSIST", "hotset:shop::1"])).toEqual(["changed shop::1"]);
    expect((await heardOf(["RENAME", "hotset:shop::1", "hotset:shop::2"])).toSorted()).toEqual([
      "changed shop::1",
      "changed shop::2",
    ]);
    expect(await heardOf(["COPY", "hotset:shop::2", "hotset:shop::3"])).toEqual(["changed shop::3"]);
    expect(await heardOf(["EVAL", "return redis.call('DEL', 'hotset:shop::2')", 0])).toEqual(["changed shop::2"]);
    expect(await heardOf(["SET", "hotset:shop::2", "another type"])).toEqual(["changed shop::2"]);
    expect(await heardOf(["GETEX", "hotset:shop::2", "EX", 100])).toEqual(["changed shop::2"]);
    expect(await heardOf(["SET", "hotset:{~shop}::user", "1.1|1.1"])).toEqual(["tag {~shop}::user"]);
    expect(await heardOf(["SET", "hotset::root", "of a cache without a name"])).toEqual(["changed ::root"]);
    expect(
      await heardOf(
        ["SET", "hotset~lease:{hotset:shop::1}", "token"],
        ["SET", "other:shop::1", "x"],
        ["SET", "hotsets:shop::1", "x"],
      ),
    ).toEqual([]);
    expect(await heardOf(["FLUSHALL"])).toEqual(["everything"]);
  });

  it("C81: is reported when a key expires, once the key is removed", async () => {
    // Only a key that is there when it is read is watched to its end.
    let before: readonly string[] | undefined;
    for (let attempt = 1; attempt <= 5 && before === undefined; attempt += 1) {
      await server.command("SET", "hotset:shop::1", "short", "PX", 400 * attempt);
      // That of another attempt is reported: the key was read before.
      await backend.ping();
      listener.take();
      await watch("shop::1");
      const received = listener.take();
      if ((await server.command("EXISTS", "hotset:shop::1")) === 1) before = received;
    }
    expect(before).toEqual([]);
    await expect.poll(() => listener.received).toEqual(["changed shop::1"]);
  });

  it("C81: is reported when a key is evicted", async () => {
    await server.command("SET", "hotset:shop::1", "x".repeat(1_000));
    await watch("shop::1");
    await server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random");
    await server.command("CONFIG", "SET", "maxmemory", 1);
    await server.command("SET", "other", "x").catch(() => undefined);
    await expect.poll(() => listener.received).toContain("changed shop::1");
    await server.command("CONFIG", "SET", "maxmemory", 0);
  });

  it("C81: is reported under its key where keys are hashed", async () => {
    const hashed = open((builder) => builder.keyFormat("hashed"));
    const listener = new RecordingListener();
    await hashed.coherence!.attach(listener);
    await hashed.read("shop::a key");
    await hashed.write("shop::a key", stored());
    await hashed.tagVersions!.pin(["{~shop}::user"]);
    await hashed.ping();
    // A script that reads between two writes is pushed both.
    expect([...new Set(listener.received)]).toEqual([
      "changed shop::a key",
      // The issuer, which stands for any tag.
      "tag {~shop}::~",
      "tag {~shop}::user",
    ]);
  });
});

describe("listeners that share one connection", () => {
  beforeEach(() => server.command("FLUSHALL"));

  it("turn tracking on with the first of them, and off when the last one detaches", async () => {
    const backend = open();
    await backend.read("shop::1");
    // The server may still see connections that the test before has closed.
    await expect.poll(flags).toEqual(["N"]);
    const detachers = [
      await backend.coherence!.attach(new RecordingListener()),
      await backend.coherence!.attach(new RecordingListener()),
    ];
    expect(await flags()).toEqual(["t"]);
    await detachers[0]!();
    await backend.ping();
    expect(await flags()).toEqual(["t"]);
    await detachers[1]!();
    await expect.poll(flags).toEqual(["N"]);
  });

  it("receive the changes of their own prefix only, also where one begins like the other", async () => {
    const at = single(server.url);
    const listen = async (prefix: string): Promise<RecordingListener> => {
      const backend = quick(redis(at)).keyPrefix(prefix).build();
      backends.push(backend);
      const listener = new RecordingListener();
      await backend.coherence!.attach(listener);
      return listener;
    };
    const long = await listen("ab");
    const beside = await listen("c");
    const short = await listen("a");
    for (const listener of [long, beside, short]) expect(listener.take()).toEqual([]);
    await Promise.all([...backends.map((backend) => backend.read("shop::1")), backends[1]!.read("shop::2")]);
    await backends[2]!.read("b:shop::1");

    await server.command("SET", "ab:shop::1", "x");
    await server.command("SET", "a:b:shop::1", "x");
    await server.command("SET", "c:shop::2", "x");
    await backends[0]!.ping();
    expect(long.take()).toEqual(["changed shop::1"]);
    expect(short.take()).toEqual(["changed b:shop::1"]);
    expect(beside.take()).toEqual(["changed shop::2"]);
    await expect.poll(async () => String(await server.command("CLIENT", "LIST")).match(/resp=3/g)).toHaveLength(1);
  });

  it("receive each other's changes where two caches share one backend", async () => {
    for (const mode of ["tracking", "pubsub"] as const) {
      const backend = open((builder) => builder.coherence(mode));
      const [first, second] = [new RecordingListener(), new RecordingListener()];
      await backend.coherence!.attach(first);
      await backend.write("shop::alone", stored());
      await backend.coherence!.attach(second);
      await backend.read("shop::1");
      await backend.write("shop::1", stored());
      await expect.poll(() => [...new Set(second.received)]).toEqual(["changed shop::1"]);
      if (mode === "pubsub") expect(first.received).toEqual(["changed shop::1"]);
    }
  });

  it("C81 receive the last change of a cache that closes right after it", async () => {
    const backend = open((builder) => builder.coherence("pubsub"));
    const [first, second] = [new RecordingListener(), new RecordingListener()];
    const end = await backend.coherence!.attach(first);
    await backend.coherence!.attach(second);
    await backend.write("shop::last", stored());
    // The detachment is done before the message comes, over another connection.
    await end();
    await expect.poll(() => second.received).toEqual(["changed shop::last"]);
  });
});

describe("a confirmation", () => {
  it.each([
    ["tracking", "CLIENT"],
    ["pubsub", "PING"],
  ] as const)(
    "C82: resolves after the messages of all changes acknowledged before, over either kind of connection: %s",
    async (mode, heartbeat) => {
      await using proxy = await startProxy(server.port);
      const backend = open((builder) => builder.coherence(mode), proxy.url);
      const listener = new RecordingListener();
      await backend.coherence!.attach(listener);
      await Promise.all([backend.read("shop::1"), backend.read("shop::2")]);
      const hold = proxy.hold(heartbeat, "reply");
      await hold.reached;
      await open((builder) => builder.coherence(mode)).write("shop::1", stored());
      const confirmed = backend.leases!.confirm("shop::2");
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(listener.received).toEqual([]);
      expect(await outcome(confirmed)).toEqual({ status: "pending" });
      hold.release();
      expect(await confirmed).toBe("");
      expect(listener.received).toEqual(["changed shop::1"]);
    },
  );
});

describe("tags in use", () => {
  it("C105: are read again while a listener is attached, so eviction takes keys that are not in use first", async () => {
    const backend = open();
    await backend.coherence!.attach(new RecordingListener());
    await backend.tagVersions!.pin(["{~shop}::a"]);
    const idle = async (): Promise<number> => {
      const [seconds] = /(?<=lru_seconds_idle:)\d+/.exec(
        String(await server.command("DEBUG", "OBJECT", "hotset:{~shop}::a")),
      )!;
      return Number(seconds);
    };
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    // Without the reads it only grows.
    await expect.poll(idle).toBeLessThan(2);
  });
});

describe("a connection that follows another", () => {
  it("C94: tracks before any other command, and has the server close the one before, which may look alive to it", async () => {
    await using proxy = await startProxy(server.port);
    // It notices the silence soon. An attempt to connect that begins meanwhile stays silent for connectTimeout.
    const backend = open((builder) => builder.responseTimeout("1s").connectTimeout("5s"), proxy.url);
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    const [before] = String(await server.command("CLIENT", "LIST", "TYPE", "normal")).match(
      /(?<=^id=)\d+(?=.* flags=t )/m,
    )!;
    proxy.swallow();
    await expect.poll(() => listener.losses.length).toBe(1);
    const attached = backend.coherence!.attach(listener);
    expect(String(await server.command("CLIENT", "LIST", "ID", Number(before)))).toContain(`id=${before}`);
    proxy.resetCounts();
    await proxy.pass();
    await attached;
    const commands = proxy.commands().map((command) => command.join(" ").replace(/^(SCRIPT LOAD).*/s, "$1"));
    const tracking = commands.indexOf("CLIENT TRACKING ON");
    const killing = commands.indexOf(`CLIENT KILL ID ${before}`);
    expect(tracking).toBeGreaterThan(-1);
    expect(killing).toBeGreaterThan(tracking);
    expect(commands.indexOf("CLIENT TRACKINGINFO")).toBeGreaterThan(killing);
    expect(commands.filter((command) => command.startsWith("CLIENT TRACKING ON"))).toHaveLength(1);
    expect(String(await server.command("CLIENT", "LIST", "ID", Number(before)))).not.toContain(`id=${before}`);
  });

  it("does not kill a client by an id from an earlier run of the server", async () => {
    await using own = await startOwnRedis();
    await using proxy = await startProxy(own.port);
    const backend = open(undefined, proxy.url);
    await backend.read("shop::1");
    await own.restart();
    await expect.poll(() => backend.read("shop::1").then(() => "read")).toBe("read");
    expect(proxy.commands().filter(([, name]) => name === "KILL")).toEqual([]);
  });

  it("a server that became a replica gives no signs of life, and counts as replaced when it is the primary again", async () => {
    await using own = await startOwnRedis();
    await using primary = await startOwnRedis();
    const backend = open(undefined, own.url);
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    await own.command("REPLICAOF", "127.0.0.1", primary.port);
    await expect.poll(() => listener.losses.length).toBe(1);
    listener.signs.splice(0);
    await backend.coherence!.attach(listener);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(listener.signs).toEqual([]);
    listener.take();
    await own.command("REPLICAOF", "NO", "ONE");
    await expect.poll(() => listener.losses.length).toBe(2);
    await backend.coherence!.attach(listener);
    await expect.poll(() => listener.received).toContain("replaced");
    await expect.poll(() => listener.signs.length).toBeGreaterThan(0);
  });
});

describe("a server that loads its data", () => {
  it("C86: is tracked from the start and counts as replaced, without any action of the user", async () => {
    await using own = await startOwnRedis({
      config: ["key-load-delay 2000", "loading-process-events-interval-bytes 1024"],
    });
    const backend = open(undefined, own.url);
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    for (let i = 0; i < 500; i++) await own.command("HSET", `hotset:shop::${i}`, "d", "x".repeat(100));
    await own.command("SAVE");
    await own.kill();
    await expect.poll(() => listener.losses.length).toBe(1);
    await own.start("listening");
    await backend.coherence!.attach(listener);
    await expect.poll(() => listener.received).toContain("replaced");
    await expect.poll(() => backend.read("shop::499").then((entry) => entry?.data.length)).toBe(100);
    listener.take();
    await own.command("DEL", "hotset:shop::499");
    await expect.poll(() => listener.received).toEqual(["changed shop::499"]);
    expect(listener.losses).toHaveLength(1);
  });
});

describe("a server that is busy", () => {
  /** Of its error; without one, none. */
  const messageOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => "",
      (error: Error) => error.message,
    );

  it("gives no signs of life, and keeps its connection", async () => {
    await using own = await startOwnRedis({ config: ["busy-reply-threshold 50"] });
    const backend = open((builder) => builder.responseTimeout("1s"), own.url);
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    const looper = RespClient.fromUrl(own.url, { timeoutMs: 120_000 });
    const script = looper.command("EVAL", "while true do end", 0).catch((error: Error) => error.message);
    await expect.poll(() => messageOf(backend.ping())).toContain("BUSY");
    const { length } = listener.signs;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(listener.signs).toHaveLength(length);
    expect(listener.losses).toEqual([]);
    const other = open(undefined, own.url);
    await expect.poll(() => messageOf(other.ping())).toContain("BUSY");
    const killer = RespClient.fromUrl(own.url);
    await killer.command("SCRIPT", "KILL");
    killer.close();
    expect(await script).toContain("killed");
    looper.close();
    await expect.poll(() => listener.signs.length).toBeGreaterThan(length);
    expect(listener.losses).toEqual([]);
  });

  it("C81: pushes what was changed before, and its replies are not signs of life", async () => {
    await using own = await startOwnRedis({ config: ["busy-reply-threshold 50"] });
    await using proxy = await startProxy(own.port);
    const backend = open(undefined, proxy.url);
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    await backend.read("shop::1");
    const [client, killer] = [RespClient.fromUrl(own.url), RespClient.fromUrl(own.url)];
    await client.command("PING");
    // They share a write, and are executed in one turn of the server's loop: the change, then the script.
    const changed = client.command("SET", "hotset:shop::1", "x");
    const looped = client.command("EVAL", "while true do end", 0).catch((error: Error) => error.message);
    await expect.poll(() => messageOf(backend.ping())).toContain("BUSY");
    const busyAt = performance.now();
    const heartbeats = (): number => proxy.counts.commandsByName["CLIENT"] ?? 0;
    const before = heartbeats();
    await expect.poll(heartbeats).toBeGreaterThan(before + 3);
    await expect.poll(() => listener.received).toEqual(["changed shop::1"]);
    const signs = (): readonly number[] => listener.signs.filter((sentAtMs) => sentAtMs > busyAt);
    expect(signs()).toEqual([]);
    await killer.command("SCRIPT", "KILL");
    expect(await looped).toContain("killed");
    await changed;
    await expect.poll(() => signs().length).toBeGreaterThan(0);
    expect(listener.received).toEqual(["changed shop::1"]);
    for (const each of [client, killer]) each.close();
  });
});

describe("a user who may not track", () => {
  const RIGHTS =
    "~hotset:* ~hotset~* +ping +pttl +hmget +hget +hlen +mget +script|load +evalsha +eval +hset +hdel +hstrlen +rename +hincrby +del +pexpire +persist +set +get +getex +time";
  let acl: AclRedis;
  beforeAll(async () => {
    acl = await startAclRedis({ appRules: RIGHTS });
  });
  afterAll(() => acl.stop());
  const grant = (...rules: readonly string[]): Promise<unknown> =>
    acl.command("ACL", "SETUSER", "app", "reset", "on", ">apppass", ...RIGHTS.split(" "), ...rules);
  const kill = (): Promise<unknown> => acl.command("CLIENT", "KILL", "USER", "app");

  it("gets an error that names the right to grant, where tracking was demanded", async () => {
    await grant();
    const backend = open((builder) => builder.coherence("tracking"), acl.appUrl);
    await expect(backend.coherence!.attach(new RecordingListener())).rejects.toThrow(ConfigurationError);
    await expect(backend.coherence!.attach(new RecordingListener())).rejects.toMatchObject({
      code: "INVALID_CONFIGURATION",
      message: expect.stringMatching(/NOPERM.*\+client\|tracking.*coherence\("pubsub"\)/s),
    });
    // It reads and writes all the same.
    await backend.write("shop::1", stored());
    expect((await backend.read("shop::1"))?.data.toString()).toBe("value");
  });

  it("uses the channel where that was chosen, and gets an error that names the rights where it is refused as well", async () => {
    await grant();
    const backend = open((builder) => builder.coherence("pubsub"), acl.appUrl);
    expect(backend.coherenceMode).toBe("pubsub");
    await expect(backend.coherence!.attach(new RecordingListener())).rejects.toMatchObject({
      code: "INVALID_CONFIGURATION",
      message: expect.stringMatching(/\+subscribe.*&hotset~changes/s),
    });

    await grant("+subscribe", "+unsubscribe", "+publish", "&hotset~changes");
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    await open((builder) => builder.coherence("pubsub"), acl.url).write("shop::2", stored());
    await expect.poll(() => listener.received).toEqual(["changed shop::2"]);
    expect(listener.signs.length).toBeGreaterThan(0);
  });

  it("tracks until its connection ends once the right is withdrawn, and tracks again once it is granted", async () => {
    await grant("+client|tracking", "+subscribe", "+publish", "&hotset~changes");
    const backend = open(undefined, acl.appUrl);
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    expect(backend.coherenceMode).toBe("tracking");
    await acl.command("ACL", "SETUSER", "app", "-client|tracking");
    await backend.read("shop::1");
    await acl.command("SET", "hotset:shop::1", "x");
    await expect.poll(() => listener.received).toEqual(["changed shop::1"]);

    await kill();
    await expect.poll(() => listener.losses.length).toBe(1);
    await expect(backend.coherence!.attach(listener)).rejects.toMatchObject({ code: "INVALID_CONFIGURATION" });
    await acl.command("ACL", "SETUSER", "app", "+client|tracking");
    await backend.coherence!.attach(listener);
    await backend.read("shop::1");
    await acl.command("SET", "hotset:shop::1", "y");
    await expect.poll(() => listener.received.filter((line) => line.startsWith("changed"))).toHaveLength(2);
  });

  it("is not asked for the role again once that was refused, so no heartbeat adds to the ACL log", async () => {
    await grant("+client|tracking");
    await acl.command("CONFIG", "RESETSTAT");
    const backend = open((builder) => builder.coherence("tracking"), acl.appUrl);
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    await expect.poll(() => new Set(listener.signs).size).toBeGreaterThan(3);
    const stats = String(await acl.command("INFO", "commandstats"));
    expect(/^cmdstat_role:.*rejected_calls=(\d+)/m.exec(stats)?.[1]).toBe("1");
  });

  it("C88: ignores messages of another form on the channel", async () => {
    const backend = open((builder) => builder.coherence("pubsub"));
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    for (const message of [
      "",
      " ",
      "1",
      "1 ",
      "1 me",
      "1  hotset:shop::0",
      "2 me hotset:shop::0",
      "11 me hotset:shop::0",
      "1 me other:shop::0",
      "1 me hotset~lease:x",
      "hotset:shop::0",
      '{"key":"shop::0"}',
      "\u0000\uffff",
    ]) {
      await server.command("PUBLISH", "hotset~changes", message);
    }
    await server.command("PUBLISH", "hotset~changes", new Uint8Array([0x31, 0x20, 0xff, 0x20, 0xfe]));
    await server.command("PUBLISH", "other~changes", "1 me hotset:shop::0");
    await server.command("PUBLISH", "hotset~changes", "1 me hotset:shop::a key with spaces\nand lines");
    await expect.poll(() => listener.received).toEqual(["changed shop::a key with spaces\nand lines"]);
  });
});
