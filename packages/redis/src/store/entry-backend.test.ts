import { BackendUnavailableError, defineBackend, json, passthrough, type StoredEntry } from "@hotset/core";
import { createTestCache, flush, mapTier, outcome, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { openUnconnected, Wire } from "../../test/wire.ts";
import { CommandQueue } from "../connection/command-queue.ts";
import type { Link } from "../connection/link.ts";
import { EntryBackend, type BackendSettings } from "./entry-backend.ts";
import { RedisKeys } from "./redis-keys.ts";

const NOW = 1_700_000_000_000;

let clock: TestClock;
let wire: Wire;
let queue: CommandQueue;
let replicas: Error[];
let backend: EntryBackend;
/** Another over the same connection. */
let open: (change?: Partial<BackendSettings>, links?: Partial<Link>) => EntryBackend;

beforeEach(() => {
  clock = new TestClock();
  wire = new Wire();
  queue = new CommandQueue({ clock, deadlineMs: 1_000, maxInFlight: 100 });
  queue.client = wire;
  replicas = [];
  const link: Link = {
    queue,
    admit: (call, send) => queue.enqueue(call, send),
    leaveReplica: (error) => replicas.push(error),
    connect: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  let ids = 0;
  open = (change = {}, links = {}) =>
    new EntryBackend(
      { link: { ...link, ...links }, release: () => Promise.resolve() },
      {
        label: "redis",
        format: json(),
        compressor: passthrough(),
        alsoReads: [],
        maxEntryBytes: Infinity,
        maxDecodedBytes: Infinity,
        responseTimeoutMs: 1_000,
        keys: new RedisKeys({ prefix: "hotset", format: "readable" }),
        layout: "full",
        leaseMs: 2_000,
        writeIds: () => `id${++ids}`,
        epochMs: () => NOW,
        ...change,
      },
    );
  backend = open();
});

const fields = (...texts: (string | null)[]) => texts.map((text) => (text === null ? null : Buffer.from(text)));
const stored: StoredEntry = { data: Buffer.from("v"), staleInMs: 60_000, expiresInMs: 360_000, meta: "json none" };
/** A call whose failure is looked at later. */
function handled<T>(call: Promise<T>): Promise<T> {
  call.catch(() => undefined);
  return call;
}
/** As node-redis makes them. */
const refusal = (message: string): Error => new (class SimpleError extends Error {})(message);

describe("A44 reads that replicas may answer", () => {
  const coherence = { mode: "tracking", sender: "me", maxStalenessMs: 2_000, reissueWindowMs: 30_000 } as const;

  it("lag, unless changes are received: then primaries answer them", () => {
    expect(open().readsLag).toBe(undefined);
    expect(open({}, { readsFromReplicas: true }).readsLag).toBe(true);
    expect(open({ coherence }, { readsFromReplicas: true }).readsLag).toBe(undefined);
  });

  it("leave no copy in a local tier", async () => {
    for (const readsFromReplicas of [false, true]) {
      const lagging = open({}, { readsFromReplicas });
      const cache = createTestCache({
        clock,
        ttl: "1m",
        localTtl: "1m",
        local: mapTier(),
        backend: defineBackend(lagging),
      });
      const read = cache.get("k");
      await flush();
      await wire.reply(60_000);
      await wire.reply(fields('"v"', '0 id;["json"]'));
      // The version of the namespace.
      await wire.reply([null]);
      expect(await read).toBe("v");
      expect(cache.peek("k")).toBe(readsFromReplicas ? undefined : "v");
    }
  });
});

describe("a large write", () => {
  const large: StoredEntry = { ...stored, data: Buffer.alloc(4_096, "v"), version: "w1" };
  const STAGED = "hotset~staged:{hotset:shop::1}:id1";

  it("stages the value, and renames it with its script, in one trip and within one deadline", async () => {
    const write = backend.write("shop::1", large);
    const sent = wire.sent.map((command) => command.replace(/v{4096}/, "<4096>").replace(/[0-9a-f]{40}/, "<sha>"));
    expect(sent).toEqual([
      `HSET ${STAGED} d `,
      `PEXPIRE ${STAGED} 10000`,
      `HSET ${STAGED} d <4096> s 300000 w1;json none`,
      `EVALSHA <sha> 3 hotset:shop::1 hotset~lease:{hotset:shop::1} ${STAGED} 360000  `,
    ]);
    for (const reply of [1, 1, 3]) await wire.reply(reply);
    expect(await outcome(write)).toEqual({ status: "pending" });
    await wire.reply(1);
    await write;
    expect(queue.inFlight).toBe(0);
  });

  it("sends the value to the script where nothing was staged, and reports the error of that", async () => {
    const write = handled(backend.write("shop::1", large));
    wire.take().reject(refusal("OOM command not allowed"));
    wire.take().resolve(0);
    wire.take().reject(refusal("OOM command not allowed"));
    await wire.reply(2);
    expect(
      wire.sent
        .at(-1)!
        .replace(/v{4096}/, "<4096>")
        .replace(/[0-9a-f]{40}/, "<sha>"),
    ).toBe(`EVALSHA <sha> 2 hotset:shop::1 hotset~lease:{hotset:shop::1} 360000 d <4096> s 300000 w1;json none  `);
    wire.take().reject(refusal("OOM refused"));
    await expect(write).rejects.toThrow("OOM refused");
    expect(queue.inFlight).toBe(0);
  });
});

describe("a read", () => {
  it("R1-08: sends PTTL first, so that no value is read without its expiry", async () => {
    const read = backend.read("shop::1");
    expect(wire.sent).toEqual(["PTTL hotset:shop::1", "HMGET hotset:shop::1 d s"]);
    await wire.reply(301);
    await wire.reply(fields("v", "100 id;json none"));
    expect(await read).toEqual({
      data: Buffer.from("v"),
      staleInMs: 200,
      expiresInMs: 300,
      meta: "json none",
      version: "id",
    });
    expect(queue.inFlight).toBe(0);
  });

  it("waits for the PTTL where the fields come first, as they may in a cluster", async () => {
    const read = backend.read("shop::1");
    const [ttl, values] = [wire.take(), wire.take()];
    values.resolve(fields("v", "100 id;"));
    expect(await outcome(read)).toEqual({ status: "pending" });
    ttl.resolve(301);
    expect(await read).toMatchObject({ staleInMs: 200, expiresInMs: 300 });
  });

  it.each(["ttl", "fields", "both"])("fails when %s cannot be read", async (which) => {
    const read = backend.read("shop::1");
    const [ttl, values] = [wire.take(), wire.take()];
    if (which === "fields") ttl.resolve(301);
    else ttl.reject(new Error("Socket closed unexpectedly"));
    if (which === "ttl") values.resolve(fields("v", "100 id;"));
    else values.reject(new Error("Socket closed unexpectedly"));
    await expect(read).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", tier: "redis", operation: "read" });
    expect(queue.inFlight).toBe(0);
  });

  it("is sent from its own frame: two are between its caller and node-redis", () => {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 50;
    let stack = "";
    queue.client = {
      sendCommand: () => {
        stack ||= new Error("here").stack!;
        return Promise.resolve(null);
      },
    };
    function caller(): Promise<unknown> {
      return backend.read("shop::1");
    }
    void handled(caller());
    Error.stackTraceLimit = limit;
    const frames = stack
      .split("\n")
      .slice(1)
      .map((line) => /at (?:new )?([\w.#<>]+)/.exec(line)?.[1]);
    expect(frames.slice(0, 4)).toEqual(["Object.sendCommand", "sendAll", "EntryBackend.read", "caller"]);
  });

  it("fails at once when the reply cannot be decoded", async () => {
    const calls: Promise<unknown>[] = [handled(backend.read("shop::1")), handled(backend.batch.read(["shop::1"]))];
    for (const reply of [300, "OK", 300, "OK"]) await wire.reply(reply === "OK" ? 7 : reply);
    for (const call of calls) expect(await outcome(call)).toMatchObject({ status: "rejected" });
  });

  it("waits while the queue is full, and no longer than its deadline", async () => {
    queue.client = undefined;
    const read = backend.read("shop::1");
    clock.advance(1_000);
    await expect(read).rejects.toMatchObject({ maybeExecuted: false });
    queue.client = wire;
    queue.sendWaiting();
    expect(wire.sent).toEqual([]);
  });
});

const textOf = (answer: StoredEntry | Error | undefined): string | undefined =>
  answer instanceof Error ? answer.message : answer?.data.toString();

describe("a batch of reads", () => {
  it("C114: returns the entries it has at the deadline, where a node is silent", async () => {
    const read = backend.batch.read(["shop::1", "shop::2"]);
    const [ttl1, values1] = [wire.take(), wire.take()];
    ttl1.resolve(300);
    values1.resolve(fields("v", "100 id;"));
    await flush();
    clock.advance(999);
    expect(await outcome(read)).toEqual({ status: "pending" });
    clock.advance(1);
    expect((await read).map(textOf)).toEqual(["v", expect.stringContaining("read was not answered within 1000 ms")]);
  });

  it("C114: likewise where its commands are one for node-redis", async () => {
    const { client, queue: sent } = await openUnconnected(3);
    queue.client = client;
    const read = backend.batch.read(["shop::1", "shop::2", "shop::3"]);
    const none = handled(backend.batch.read(["shop::4", "shop::5"]));
    expect(Array.from(sent.commandsToWrite()).length).toBe(1);
    const entry = ":300\r\n*2\r\n$1\r\nv\r\n$7\r\n100 id;\r\n";
    sent.decoder.write(Buffer.from(`${entry}:-2\r\n-WRONGTYPE no hash\r\n:300\r\n`));
    await flush();
    expect(await outcome(read)).toEqual({ status: "pending" });
    clock.advance(1_000);
    const overdue = expect.stringContaining("read was not answered within 1000 ms");
    expect((await read).map(textOf)).toEqual(["v", undefined, overdue]);
    await expect(none).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: true });
    sent.decoder.write(Buffer.from(`*2\r\n_\r\n_\r\n${entry}${entry}`));
    await flush();
    expect([queue.inFlight, queue.replies]).toEqual([0, 10]);
  });

  it("names no server where that of a key is not known", async () => {
    for (const answered of [0, 2]) {
      wire = Object.assign(new Wire(), { lastRoute: { server: "10.0.0.1:6379" } });
      queue.client = wire;
      queue.inFlight = 0;
      const call = handled(backend.batch.read(Array.from({ length: 60 }, (_, i) => `shop::${i}`)));
      for (let i = 0; i < answered; i += 1) await wire.reply(i === 0 ? -2 : fields(null, null));
      clock.advance(1_000);
      const settled = await call.catch((error: unknown) => [error]);
      expect((settled.at(-1) as Error).message).toContain("read was not answered within 1000 ms; check");
    }
  });

  it("C114: fails when nothing was answered, or everything with an error", async () => {
    const silent = backend.batch.read(["shop::1", "shop::2"]);
    clock.advance(1_000);
    await expect(silent).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: true });
    wire.cut(new Error("Socket closed unexpectedly"));
    const lost = backend.batch.read(["shop::1", "shop::2"]);
    wire.cut(new Error("Socket closed unexpectedly"));
    await expect(lost).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    expect(queue.inFlight).toBe(0);
  });

  it("C114: a read that failed alone is an error, the others are answered", async () => {
    const read = backend.batch.read(["shop::1", "shop::2"]);
    const [ttl1, values1, ttl2, values2] = [wire.take(), wire.take(), wire.take(), wire.take()];
    for (const { reject } of [ttl1, values1]) reject(refusal("CLUSTERDOWN Hash slot not served"));
    ttl2.resolve(300);
    values2.resolve(fields("v", "100 id;"));
    expect((await read).map(textOf)).toEqual([expect.stringContaining("CLUSTERDOWN Hash slot not served"), "v"]);
  });
});

describe("a write", () => {
  it("golden: is a DEL of the lease, and one command over the entry alone", async () => {
    const write = backend.write("shop::1", stored);
    expect(wire.sent).toEqual([
      "DEL hotset~lease:{hotset:shop::1}",
      expect.stringMatching(/^EVALSHA [0-9a-f]{40} 1 hotset:shop::1 360000 d v s 300000 id1;json none  $/),
    ]);
    await wire.reply(0);
    await wire.reply(1);
    expect(await write).toBe(undefined);
  });

  it("keeps the version of the entry, and makes one for an entry without", async () => {
    for (const version of ["mine", "-", undefined])
      void handled(backend.write("shop::1", { ...stored, ...(version === undefined ? undefined : { version }) }));
    const scripts = wire.sent.filter((command) => command.startsWith("EVALSHA"));
    expect(scripts.map((command) => / s 300000 (\S*);json none {2}$/.exec(command)?.[1])).toEqual([
      "mine",
      "id1",
      "id2",
    ]);
    await expect(backend.write("shop::1", { ...stored, version: "not this" })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });

  it("names the channel and the sender of the announcement, as they are at the time", () => {
    const announce = { channel: "", sender: "" };
    const announcing = open({ announce });
    void handled(announcing.markStale("shop::1"));
    Object.assign(announce, { channel: "hotset~changes", sender: "me" });
    void handled(announcing.remove("shop::1"));
    void handled(announcing.leases.release("shop::1", "token"));
    void handled(announcing.tagVersions!.renew(["{~shop}::a"], "hard"));
    const scripts = wire.sent.filter((command) => command.startsWith("EVALSHA"));
    expect(scripts.map((command) => command.split(" ").slice(-3))).toEqual([
      ["hotset:shop::1", "", ""],
      ["hotset~lease:{hotset:shop::1}", "hotset~changes", "me"],
      ["token", "hotset~changes", "me"],
      ["hard", "hotset~changes", "me"],
    ]);
  });

  it("sends a script that the server has forgotten as text, once", async () => {
    const release = handled(backend.leases.release("shop::1", "token"));
    await wire.fail(refusal("NOSCRIPT No matching script."));
    expect(wire.sent[1]).toMatch(/^EVAL local head\b/);
    await wire.fail(refusal("NOSCRIPT No matching script."));
    await expect(release).rejects.toThrow(/^NOSCRIPT/);
    expect(wire.sent).toHaveLength(2);
  });

  it("does not send it again once the call was given up: it would come behind what was called since", async () => {
    const release = handled(backend.leases.release("shop::1", "token"));
    clock.advance(1_000);
    await expect(release).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await wire.fail(refusal("NOSCRIPT No matching script."));
    expect(wire.sent).toHaveLength(1);
  });

  it("refuses a bad key and bad times without sending anything", async () => {
    await expect(backend.write("shop::\ud800", stored)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(backend.write("shop::1", { ...stored, staleInMs: NaN })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(backend.read("shop::\ud800")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(backend.remove("shop::\ud800")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(wire.sent).toEqual([]);
  });
});

describe("what the server answers", () => {
  it.each([
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script.",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CLUSTERDOWN The cluster is down",
    "MASTERDOWN Link with MASTER is down",
  ])("A93: %j means not now: retryable, and not executed", async (message) => {
    const release = handled(backend.leases.release("shop::1", "token"));
    await wire.fail(refusal(message));
    await expect(release).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: true,
      maybeExecuted: false,
      cause: { message },
    });
  });

  it.each([
    "OOM command not allowed when used memory > 'maxmemory'.",
    "NOPERM this user has no permissions",
    "READONLY You can't write against a read only replica.",
    "NOREPLICAS Not enough good replicas to write.",
    "MISCONF Redis is configured to save RDB snapshots",
    "ERR unknown command",
  ])("A93: %j is a reply to this command, and does not count against the connection", async (message) => {
    const error = refusal(message);
    const write = handled(backend.leases.release("shop::1", "token"));
    await wire.fail(error);
    await expect(write).rejects.toBe(error);
    expect(error).not.toBeInstanceOf(BackendUnavailableError);
  });

  it.each([
    ["a socket that closed", new Error("Socket closed unexpectedly")],
    ["a reset", Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })],
    ["a client that is gone", new Error("Disconnects client")],
    ["whatever else", "no error at all"],
  ])("A13: %s is a lost connection: a write may have happened", async (_, error) => {
    const write = handled(backend.leases.release("shop::1", "token"));
    await wire.fail(error);
    await expect(write).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: true, maybeExecuted: true });
  });

  it("A95: READONLY is reported to the connection, and no other error", async () => {
    const writes = [
      backend.leases.release("shop::1", "token"),
      backend.leases.release("shop::1", "token"),
      backend.read("shop::1"),
    ].map((call) => call.catch((error: unknown) => error));
    await wire.fail(refusal("LOADING Redis is loading the dataset in memory"));
    await wire.fail(refusal("READONLY You can't write against a read only replica."));
    await wire.reply(-2);
    await wire.reply(fields(null, null));
    await Promise.all(writes);
    expect(replicas.map(({ message }) => message)).toEqual(["READONLY You can't write against a read only replica."]);
  });
});

describe("one deadline for all that a call sends:", () => {
  it("confirm, whose second command is not answered", async () => {
    const call = handled(backend.leases.confirm("shop::1"));
    clock.advance(700);
    await wire.reply(null);
    expect(wire.sent).toEqual(["HGET hotset:shop::1 s", "HLEN hotset:shop::1"]);
    clock.advance(299);
    expect(await outcome(call)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { code: "BACKEND_UNAVAILABLE" } });
  });

  it("acquire, over an entry that cannot be read and changes", async () => {
    const call = handled(backend.leases.acquire({ key: "shop::1", token: "token", leaseMs: 10_000, seen: "seen" }));
    for (const version of ["w1", "w2"]) {
      clock.advance(400);
      await wire.reply([2, 1_000, fields(null, `0 ${version};`)]);
    }
    expect(wire.sent).toHaveLength(3);
    clock.advance(200);
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { code: "BACKEND_UNAVAILABLE" } });
    // Its last answer came too late: no further command is sent.
    await wire.reply([2, 1_000, fields(null, "0 w3;")]);
    expect(wire.sent).toHaveLength(3);
  });

  it("a batch without room for all: the answers that came are returned", async () => {
    for (const answered of [0, 100]) {
      wire = new Wire();
      queue.client = wire;
      queue.inFlight = 0;
      const call = handled(backend.batch.read(Array.from({ length: 150 }, (_, i) => `shop::${i}`)));
      clock.advance(700);
      for (let i = 0; i < answered; i += 1) await wire.reply(i % 2 === 0 ? 301 : fields("v", "100 id;json none"));
      clock.advance(299);
      expect((await outcome(call)).status).toBe("pending");
      clock.advance(1);
      const settled = await outcome(call);
      expect(settled).toMatchObject(
        answered === 0
          ? { status: "rejected" }
          : { value: Array.from({ length: 150 }, (_, i) => (i < 50 ? {} : expect.any(Error))) },
      );
    }
  });
});
