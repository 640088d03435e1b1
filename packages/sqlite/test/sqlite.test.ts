import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import {
  BackendUnavailableError,
  ConfigurationError,
  createCache,
  type Backend,
  type CoherenceListener,
  type StoredEntry,
} from "@hotset/core";
import { memory } from "@hotset/memory";
import { sqlite, type SqliteDatabase, type SqliteOptions } from "@hotset/sqlite";
import { flush, gate, TestClock } from "@hotset/testing";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { newFile } from "./files.ts";

const stored = (bytes = 3): StoredEntry => ({
  data: new Uint8Array(bytes).fill(1),
  staleInMs: 60_000,
  expiresInMs: 60_000,
  meta: "json none",
});

const opened = (file: string, options?: SqliteOptions): Backend => {
  const backend = sqlite(file, options);
  onTestFinished(() => backend.close());
  return backend;
};

const other = (file: string): DatabaseSync => {
  const database = new DatabaseSync(file);
  onTestFinished(() => {
    if (database.isOpen) database.close();
  });
  return database;
};

const refusal = async (call: Promise<unknown>): Promise<Error> => {
  const error: unknown = await call.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  return error as Error;
};

const entriesIn = (file: string): number =>
  (other(file).prepare("SELECT count(*) AS n FROM entries").get() as { readonly n: number }).n;

const listener = (received: string[]): CoherenceListener => ({
  now: () => performance.now(),
  changed: (keys) => received.push(...keys),
  leaseChanged: (keys) => received.push(...keys),
  tagsChanged: () => undefined,
  everythingChanged: () => received.push("everything"),
  alive: () => undefined,
  replaced: () => undefined,
  lost: (error) => received.push(`lost: ${(error as Error).message}`),
});

const attached = async ({ coherence }: Backend, received: string[]): Promise<void> => {
  if (typeof coherence !== "object") throw new TypeError("no coherence");
  await coherence.attach(listener(received));
};

describe("a cache over a file", () => {
  it("C522: finds its values after a restart, and what was deleted and invalidated stays away", async () => {
    const file = newFile();
    const open = () =>
      createCache({ name: "shop" })
        .tier(memory())
        .tier(sqlite(pathToFileURL(file)))
        .build();
    {
      await using cache = open();
      await cache.set("kept", { price: 40 }, { tags: ["prices"] });
      await cache.set("tagged", 1, { tags: ["users"] });
      await cache.set("deleted", 1);
      await cache.delete("deleted");
      await cache.invalidateTags("users");
    }
    await using cache = open();
    expect(await cache.getOrSet("kept", () => "loaded again")).toEqual({ price: 40 });
    expect([await cache.get("deleted"), await cache.get("tagged")]).toEqual([undefined, undefined]);
  });

  it("keeps its own stores, touches and tags in memory; only changes elsewhere drop copies", async () => {
    const file = newFile();
    const clock = new TestClock();
    const open = () => createCache({ name: "shop", clock }).tier(memory()).tier(sqlite(file, { clock })).build();
    await using cache = open();
    await using peer = open();
    await Promise.all([cache.connect(), peer.connect()]);
    const foreign: unknown[] = [];
    cache.on("invalidate", ({ origin, ...of }) => origin === "elsewhere" && foreign.push("key" in of ? of.key : of));
    const options = { tags: ["t"], ttl: "1h" } as const;
    const read = async (): Promise<void> => {
      for (let poll = 0; poll < 2; poll += 1) {
        clock.advance(20);
        await flush();
      }
    };
    const tierOf = async (key: string): Promise<unknown> => {
      let tier: unknown;
      await cache.getOrSet(key, () => "again", { ...options, onServed: (served) => (tier = served.tier) });
      return tier;
    };
    await cache.getOrSet("loaded", () => 1, options);
    await cache.set("set", 1, options);
    await cache.set("replaced", 1, options);
    await cache.delete("replaced");
    await cache.set("replaced", 2, options);
    await cache.set("touched", 1, options);
    await read();
    await cache.touch("touched", { ttl: "2h" });
    await cache.invalidateTags("other");
    await read();
    const keys = ["loaded", "set", "replaced", "touched"];
    expect(await Promise.all(keys.map(tierOf))).toEqual(keys.map(() => "memory"));
    expect(foreign).toEqual([]);

    await peer.getOrSet("touched", () => 0);
    await peer.touch("touched", { ttl: "3h" });
    await peer.set("set", 2, options);
    await peer.delete("loaded");
    await read();
    expect(foreign).toEqual(["touched", "set", "loaded"]);
    expect(await Promise.all(keys.map(tierOf))).toEqual([undefined, "sqlite", "memory", "sqlite"]);
  });

  it("serves a hot copy while another process holds its file", async () => {
    const file = newFile();
    await using cache = createCache({ name: "shop" }).tier(memory()).tier(sqlite(file)).build();
    await cache.getOrSet("k", () => "loaded");
    const locker = other(file);
    locker.exec("BEGIN EXCLUSIVE");
    for (let poll = 0; poll < 3; poll += 1) {
      await new Promise((resolve) => void setTimeout(resolve, 30));
      expect(await cache.getOrSet("k", () => "again")).toBe("loaded");
    }
    locker.exec("ROLLBACK");
  });

  it("makes the folder of its file, and opens nothing before its first call", async () => {
    const file = `${newFile()}-folder/deeper/cache.db`;
    const backend = opened(file);
    expect(existsSync(dirname(file))).toBe(false);
    await backend.connect!();
    expect(existsSync(file)).toBe(true);
  });

  it.each([
    [":memory:", {}, "file must be the path"],
    ["", {}, "file must be the path"],
    ["a.db", { maxBytes: 1_000 }, "maxBytes must be a number of at least 1048576, got 1000"],
    [
      "a.db",
      { maxByte: 2 ** 30 } as SqliteOptions,
      'unknown option "maxByte"; did you mean maxBytes?; accepted: format,',
    ],
    ["a.db", { unusableFile: "delete" as "refuse" }, 'unusableFile must be "refuse" or "moveAside", got "delete"'],
  ])("refuses what cannot work: %j %j", (file, options, message) => {
    expect(() => sqlite(file, options)).toThrow(ConfigurationError);
    expect(() => sqlite(file, options)).toThrow(message);
  });
});

it("a lease that was given before the clock was set back is over; one of a clock that moved a little is not", async () => {
  const file = newFile();
  const clock = new TestClock();
  const ahead = new TestClock();
  const [dead, backend] = [opened(file, { clock: ahead }), opened(file, { clock })];
  ahead.advance(1_000);
  await dead.leases!.acquire({ key: "k", token: "dead", leaseMs: 2_000, seen: "" });
  expect((await backend.leases!.acquire({ key: "k", token: "own", leaseMs: 2_000, seen: "" })).granted).toBe(false);
  ahead.advance("1h");
  expect(await dead.leases!.acquire({ key: "k", token: "dead", leaseMs: 2_000, seen: "*" })).toMatchObject({
    granted: true,
  });
  expect((await backend.leases!.acquire({ key: "k", token: "own", leaseMs: 2_000, seen: "" })).granted).toBe(true);
  expect(await dead.leases!.store("k", "dead", "", stored())).toBe(false);
});

describe("space", () => {
  it("keeps the file within maxBytes, and deletes the entries that were written longest ago", async () => {
    const file = newFile();
    const maxBytes = 2 * 2 ** 20;
    const backend = opened(file, { maxBytes });
    for (let i = 0; i < 1_000; i += 1) await backend.write(`k${i}`, stored(10_000));
    await backend.write("last", stored());
    await backend.close();
    // What is written between two sweeps comes on top.
    expect(statSync(file).size).toBeLessThan(1.7 * maxBytes);
    const again = opened(file);
    expect(await again.read("k0")).toBe(undefined);
    expect((await again.read("k999"))?.data.length).toBe(10_000);
    expect(entriesIn(file)).toBeGreaterThan(100);
  });

  it("neither the log nor tag versions take the room of entries, and a warning says that tags are too many", async () => {
    const { codes } = warnings();
    const backend = opened(newFile(), { maxBytes: 2 ** 20 });
    const key = (i: number): string => `user-profile:${"x".repeat(500)}:${i}`;
    for (let i = 0; i < 5_000; i += 100)
      await Promise.all(Array.from({ length: 100 }, (_, j) => backend.write(key(i + j), stored())));
    expect(await countOf(backend, 500, (i) => key(4_500 + i)), "of the last 500").toBe(500);
    expect(codes).toEqual([]);
    for (let i = 0; i < 8_000; i += 100) {
      await backend.tagVersions!.pin(Array.from({ length: 100 }, (_, j) => `{~shop}::user:${i + j}`));
      await backend.write(`k${i}`, stored());
    }
    expect(await countOf(backend, 80, (i) => `k${100 * i}`)).toBe(80);
    const versions = await backend.tagVersions!.read(["{~shop}::user:0", "{~shop}::user:7999"]);
    expect(versions).toEqual([undefined, expect.anything()]);
    expect(codes).toEqual(["HOTSET_SQLITE_TAGS"]);
  });

  it("says if the log of SQLite grows behind a long reader", async () => {
    const { codes } = warnings();
    const file = newFile();
    const backend = opened(file, { maxBytes: 2 * 2 ** 20 });
    await backend.write("k", stored());
    const reader = other(file);
    reader.exec("BEGIN; SELECT * FROM entries");
    for (let i = 0; i < 36; i += 1) await backend.write(`k${i}`, stored(2 ** 20));
    expect(codes).toEqual([]);
    for (let i = 0; i < 20; i += 1) await backend.write(`k${i}`, stored(2 ** 20));
    expect(codes).toEqual(["HOTSET_SQLITE_WAL"]);
  });

  it("behind a reader the log of SQLite is bounded: no entry is stored, removals go on, until the reader ends", async () => {
    warnings();
    const file = newFile();
    const backend = opened(file, { maxBytes: 8 * 2 ** 20 });
    await backend.write("k199", stored());
    const walBytes = (): number => statSync(`${file}-wal`).size;
    const reader = other(file);
    reader.exec("BEGIN; SELECT * FROM entries");
    const refused: unknown[] = [];
    for (let i = 0; i < 200; i += 1)
      await backend.write(`k${i}`, stored(2 ** 20)).catch((error: unknown) => refused.push(error));
    // Of 200 MB written: the bound, and what is written between two looks at the log.
    expect(walBytes()).toBeLessThan(68 * 2 ** 20);
    expect(refused.length).toBeGreaterThan(130);
    expect(String(refused[0])).toBe("Error: sqlite: no space is left, so the entry was not stored; see cause");
    expect(String((refused[0] as Error).cause)).toBe("Error: warning HOTSET_SQLITE_WAL");
    // Nothing older is served in place of what was refused.
    expect(await backend.read("k199")).toBe(undefined);
    const kept = `k${199 - refused.length}`;
    const before = walBytes();
    for (let i = 0; i < 100; i += 1) {
      const key = `miss${i}`;
      expect(await backend.leases!.acquire({ key, token: "token", leaseMs: 2_000, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
      await expect(backend.leases!.store(key, "token", "", stored())).rejects.toThrow("not stored");
    }
    expect(await backend.leases!.touch(kept, "-", stored())).toBe(false);
    expect(walBytes()).toBe(before);
    expect(await backend.remove(kept)).toBe("deleted");
    expect(await backend.read(kept)).toBe(undefined);
    reader.exec("COMMIT");
    await backend.write("k", stored(2 ** 20));
    expect((await backend.read("k"))?.data.length).toBe(2 ** 20);
    expect(walBytes()).toBeLessThan(4 * 2 ** 20);
    expect(await backend.leases!.acquire({ key: kept, token: "token", leaseMs: 2_000, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await backend.leases!.store(kept, "token", "", stored())).toBe(true);
  });

  it("keeps no more than 10,000 changes, and a process that missed more treats everything as changed", async () => {
    const file = newFile();
    const clock = new TestClock();
    const [backend, writer] = [opened(file, { clock }), opened(file, { clock })];
    const received: string[] = [];
    await attached(backend, received);
    for (let i = 0; i < 106; i += 1)
      await Promise.all(Array.from({ length: 100 }, (_, j) => writer.remove(`k${100 * i + j}`)));
    await backend.leases!.confirm("k");
    expect(received[0]).toBe("everything");
    expect(received.at(-1)).toBe("k10599");
    const { n } = other(file).prepare("SELECT count(*) AS n FROM changes").get() as { readonly n: number };
    expect(n).toBeLessThanOrEqual(10_200);
  });

  it("forgets tag versions that nothing used for 30 days, and ended leases", async () => {
    const file = newFile();
    const clock = new TestClock();
    const backend = opened(file, { clock });
    await backend.tagVersions!.pin(["used", "unused"]);
    await backend.leases!.acquire({ key: "k", token: "token", leaseMs: 2_000, seen: "" });
    for (let day = 0; day < 31; day += 1) {
      clock.advance("1d");
      await backend.tagVersions!.pin(["used"]);
    }
    for (let i = 0; i < 101; i += 1) await backend.remove("k");
    await backend.connect!();
    const database = other(file);
    const tags = database.prepare("SELECT tag FROM tags").all() as { readonly tag: Uint8Array }[];
    expect(tags.map(({ tag }) => Buffer.from(tag).toString())).toEqual(["used"]);
    expect(database.prepare("SELECT * FROM leases").all()).toEqual([]);
  });
});

describe("a file that cannot be used", () => {
  const damaged = (): string => {
    const file = newFile();
    writeFileSync(file, "this is no database, but a text that is long enough to be taken for one".repeat(200));
    return file;
  };

  const newer = (): string => {
    const file = newFile();
    const database = other(file);
    database.exec("PRAGMA application_id = 1752367105; PRAGMA user_version = 2; CREATE TABLE t (a)");
    database.close();
    return file;
  };

  it.each([
    ["damaged", damaged, "the file is damaged; stop its processes and delete it, or pass unusableFile"],
    ["of a newer version", newer, "has layout 2, of a newer @hotset/sqlite; update this process"],
  ])("is refused with a sentence: %s", async (_, make, sentence) => {
    const file = make();
    const before = readFileSync(file);
    const backend = opened(file);
    for (const call of [() => backend.read("k"), () => backend.write("k", stored()), () => backend.connect!()]) {
      const error = await refusal(call());
      expect(error).toBeInstanceOf(BackendUnavailableError);
      expect(error).toMatchObject({ retryable: false, maybeExecuted: false });
      expect(error.message).toContain(sentence);
    }
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it.each([
    ["damaged", damaged],
    ["of a newer version", newer],
  ])("is moved aside if the option says so: %s", async (_, make) => {
    const file = make();
    const before = readFileSync(file);
    const backends = [1, 2].map(() => opened(file, { unusableFile: "moveAside" }));
    await Promise.all(backends.map((backend) => backend.write("k", stored())));
    for (const backend of backends) expect(await backend.read("k")).toBeDefined();
    const aside = readdirSync(dirname(file)).filter((name) => name.startsWith(`${basename(file)}.damaged-`));
    expect(aside.length).toBe(1);
    expect(readFileSync(`${dirname(file)}/${aside[0]}`).equals(before)).toBe(true);
  });

  it("damage that is found later moves the file aside, too, and the call is answered", async () => {
    const file = newFile();
    let damages = 0;
    const backend = opened(file, {
      unusableFile: "moveAside",
      open: failing(() => (damages -= 1) >= 0, { code: "ERR_SQLITE_ERROR", errcode: 267 }),
    });
    await backend.write("k", stored());
    damages = 1;
    await backend.write("after", stored());
    expect(await backend.read("after")).toBeDefined();
    expect(await backend.read("k")).toBe(undefined);
    expect(readdirSync(dirname(file)).filter((name) => name.startsWith(`${basename(file)}.damaged-`))).not.toEqual([]);
  });

  it("a database of another program is refused, and never moved", async () => {
    const file = newFile();
    other(file).exec("CREATE TABLE invoices (id)");
    const backend = opened(file, { unusableFile: "moveAside" });
    expect((await refusal(backend.read("k"))).message).toContain("is a database of another program");
    expect(other(file).prepare("SELECT * FROM invoices").all()).toEqual([]);
  });

  it.each([
    ["removed", (file: string) => rmSync(file)],
    ["replaced", (file: string) => renameSync(`${file}.other`, file)],
  ])("a change is acknowledged once it is in the file that is there: %s", async (_, replace) => {
    const file = newFile();
    const [backend, another] = [opened(file), sqlite(`${file}.other`)];
    await another.write("k", stored());
    await another.close();
    await backend.write("k", stored());
    const received: string[] = [];
    await attached(backend, received);
    for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
    replace(file);
    await backend.remove("k");
    await backend.write("new", stored());
    const fresh = opened(file);
    expect(await fresh.read("k")).toBe(undefined);
    expect(await fresh.read("new")).toBeDefined();
    expect(await backend.leases!.confirm("k")).toBe("");
    expect(received.at(-1)).toContain("was replaced or removed");
  });

  it("a file that was removed while it was open is made again, and listeners are notified", async () => {
    const file = newFile();
    const backend = opened(file);
    const received: string[] = [];
    await attached(backend, received);
    await backend.write("k", stored());
    for (const suffix of ["", "-wal", "-shm"]) rmSync(file + suffix, { force: true });
    await backend.leases!.confirm("k");
    expect(received.at(-1)).toBe(`lost: sqlite: changes failed: ${file} was replaced or removed`);
    expect(await backend.read("k")).toBe(undefined);
    await backend.write("k", stored());
    expect(await opened(file).read("k")).toBeDefined();
  });
});

describe("a file that another process has locked", () => {
  it("is waited for without blocking the event loop, and reads do not wait", async () => {
    const file = newFile();
    const backend = opened(file);
    await backend.write("k", stored());
    const locker = other(file);
    locker.exec("BEGIN IMMEDIATE");
    let isOver = false;
    const writing = backend.write("k", stored(7)).finally(() => (isOver = true));
    const until = performance.now() + 100;
    // A write that blocked the loop would fail in the first turn.
    for (let turns = 0; turns <= 20 || performance.now() < until; turns += 1) {
      expect((await backend.read("k"))?.data.length).toBe(3);
      await new Promise((resolve) => void setImmediate(resolve));
      expect(isOver).toBe(false);
    }
    locker.exec("COMMIT");
    await writing;
    expect((await backend.read("k"))?.data.length).toBe(7);
  });

  it("fails writes after 900 ms, and nothing of them happens later", async () => {
    const file = newFile();
    const backend = opened(file);
    await backend.write("k", stored());
    const locker = other(file);
    locker.exec("BEGIN IMMEDIATE");
    const error = await refusal(backend.write("k", stored(7)));
    expect(error).toBeInstanceOf(BackendUnavailableError);
    expect(error).toMatchObject({ retryable: true, maybeExecuted: false });
    expect(error.message).toContain("another process holds the lock of the file");
    locker.exec("ROLLBACK");
    await backend.write("other", stored());
    expect((await backend.read("k"))?.data.length).toBe(3);
  });
});

describe("a process that stood still", () => {
  it("does not write what it was asked for before: another process may have written since", async () => {
    const file = newFile();
    const [clock, ofPeer] = [new TestClock(), new TestClock()];
    const [backend, peer] = [opened(file, { clock }), opened(file, { clock: ofPeer })];
    await backend.connect!();
    const late = refusal(backend.write("k", stored(7)));
    clock.suspend("1m");
    ofPeer.advance("1m");
    await peer.write("k", stored(5));
    expect(await late).toMatchObject({ name: "StandstillError", message: "this process stood still for 60000 ms" });
    expect((await peer.read("k"))?.data.length).toBe(5);
    await backend.write("k", stored(7));
    expect((await peer.read("k"))?.data.length).toBe(7);
  });
});

describe("calls that wait for nothing", () => {
  /** Counts the turns of the event loop from now on. */
  const counter = (): (() => number) => {
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    onTestFinished(() => clearImmediate(next));
    return () => turns;
  };

  it("let others run: reads one after another, and many large writes of one turn", async () => {
    const backend = opened(newFile());
    await backend.write("k", stored());
    const turns = counter();
    while (turns() < 5) await backend.read("k");
    const before = turns();
    await Promise.all(Array.from({ length: 64 }, (_, i) => backend.write(`k${i}`, stored(10 ** 6))));
    expect(turns() - before).toBeGreaterThan(32);
  });
});

describe("a full disk", () => {
  /** A file of at most 64 pages, half a megabyte. */
  const small: SqliteOptions["open"] = (file) => {
    const database = new DatabaseSync(file);
    database.exec("PRAGMA page_size = 8192; PRAGMA max_page_count = 64");
    return database;
  };

  it("the oldest entries give their space to new ones", async () => {
    const backend = opened(newFile(), { open: small });
    for (let i = 0; i < 300; i += 1) await backend.write(`k${i}`, stored(5_000));
    expect(await backend.read("k0")).toBe(undefined);
    expect(await backend.read("k299")).toBeDefined();
  });

  it("refuses an entry that has no space, removes the one before it and its lease, and reports that", async () => {
    const file = newFile();
    const [backend, peer] = [opened(file, { open: small }), opened(file)];
    const received: string[] = [];
    const { leases } = backend;
    // Older ones give their space first: "k" is removed because it is the one that was to be replaced.
    for (let i = 0; i < 40; i += 1) await backend.write(`older${i}`, stored(10_000));
    await attached(peer, received);
    const storing = async (): Promise<boolean> => {
      await leases!.acquire({ key: "k", token: "token", leaseMs: 60_000, seen: "-" });
      return leases!.store("k", "token", "-", stored(2 ** 20));
    };
    for (const put of [() => backend.write("k", stored(2 ** 20)), storing]) {
      await backend.write("k", stored());
      await peer.leases!.confirm("k");
      received.length = 0;
      // The entry that the load began with may have given its space.
      expect(await put().catch((error: Error) => error.message)).toBeOneOf([REFUSED, false]);
      expect(await peer.leases!.confirm("k")).toBe("");
      expect(await peer.leases!.acquire({ key: "k", token: "other", leaseMs: 1, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
      await peer.leases!.release("k", "other");
      expect(received).toContain("k");
    }
    expect(await refusal(backend.write("k", stored(2 ** 20)))).not.toBeInstanceOf(BackendUnavailableError);
    await backend.write("small", stored());
    expect(await backend.read("small")).toBeDefined();
  });

  it("a disk on which nothing can be written is unreachable for writes, and is read", async () => {
    const file = newFile();
    let isFull = false;
    const backend = opened(file, { open: failing(() => isFull, { code: "SQLITE_FULL" }) });
    await backend.write("k", stored());
    isFull = true;
    for (const call of [
      () => backend.write("k", stored(7)),
      () => backend.remove("k"),
      () => backend.leases!.acquire({ key: "k", token: "t", leaseMs: 9, seen: "-" }),
    ]) {
      const error = await refusal(call());
      expect(error).toBeInstanceOf(BackendUnavailableError);
      expect(error.message).toContain("the disk is full, and nothing could be removed from the file");
    }
    expect((await backend.read("k"))?.data.length).toBe(3);
    isFull = false;
    expect(await backend.remove("k")).toBe("deleted");
  });
});

describe("another driver", () => {
  it("is used in place of node:sqlite, and its errors are understood", async () => {
    const file = newFile();
    let isBusy = true;
    let prepared = 0;
    const open = failing(() => isBusy, { code: "SQLITE_BUSY_SNAPSHOT" });
    const backend = opened(file, { open: (name) => ((prepared += 1), open(name)) });
    const writing = backend.write("k", stored());
    await new Promise((resolve) => void setTimeout(resolve, 20));
    isBusy = false;
    await writing;
    expect(prepared).toBe(1);
    expect(await backend.read("k")).toBeDefined();
  });
});

describe("calls at the same time", () => {
  it("share a transaction; one that fails takes no other with it, and all keep their order", async () => {
    const file = newFile();
    const backend = opened(file, { open: counting });
    await backend.connect!();
    begun = 0;
    const answers = await Promise.allSettled([
      backend.write("a", stored()),
      backend.write("bad", { ...stored(), meta: undefined as never }),
      backend.remove("a"),
      ...Array.from({ length: 60 }, (_, i) => backend.write(`k${i}`, stored())),
    ]);
    expect(answers.map(({ status }) => status).filter((status) => status === "rejected").length).toBe(1);
    expect(await backend.read("a")).toBe(undefined);
    expect(entriesIn(file)).toBe(60);
  });

  it("60 writes of one turn are one transaction", async () => {
    const backend = opened(newFile(), { open: counting });
    await backend.connect!();
    // The turn of that step has ended.
    await new Promise((resolve) => void setTimeout(resolve, 10));
    begun = 0;
    await Promise.all(Array.from({ length: 60 }, (_, i) => backend.write(`k${i}`, stored())));
    expect(begun).toBe(1);
  });

  it("C52: two caches over one file load once", async () => {
    const file = newFile();
    const open = () => createCache({ name: "shop" }).tier(memory()).tier(sqlite(file)).build();
    await using here = open();
    await using there = open();
    const loading = gate<string>();
    const first = here.getOrSet("user:1", () => loading.pass());
    await loading.arrived();
    const second = there.getOrSet("user:1", () => "loaded twice");
    loading.open("Ada");
    expect(await Promise.all([first, second])).toEqual(["Ada", "Ada"]);
    await here.set("user:1", "Bob");
    await expect.poll(() => there.get("user:1")).toBe("Bob");
  });
});

const countOf = async (backend: Backend, count: number, key: (i: number) => string): Promise<number> => {
  const found = await backend.batch!.read(Array.from({ length: count }, (_, i) => key(i)));
  return found.filter((entry) => entry !== undefined).length;
};

/** The codes of warnings of the process from now on. */
function warnings(): { readonly codes: readonly unknown[] } {
  const codes: unknown[] = [];
  const emitted = vi.spyOn(process, "emitWarning").mockImplementation((_, options) => {
    codes.push((options as { readonly code?: string }).code);
  });
  onTestFinished(() => emitted.mockRestore());
  return { codes };
}

const REFUSED = "sqlite: no space is left, so the entry was not stored; see cause";

let begun = 0;
const counting: SqliteOptions["open"] = (file) => {
  const database = new DatabaseSync(file) as SqliteDatabase;
  return {
    exec: (sql) => database.exec(sql),
    close: () => database.close(),
    prepare(sql) {
      const statement = database.prepare(sql);
      if (!sql.startsWith("BEGIN")) return statement;
      return {
        get: (...values) => statement.get(...values),
        all: (...values) => statement.all(...values),
        run: (...values) => ((begun += 1), statement.run(...values)),
      };
    },
  };
};

/** A driver whose writes fail while `isFailing` says so. */
function failing(isFailing: () => boolean, details: object): NonNullable<SqliteOptions["open"]> {
  return (file) => {
    const database = new DatabaseSync(file) as SqliteDatabase;
    return {
      exec: (sql) => database.exec(sql),
      close: () => database.close(),
      prepare(sql) {
        const statement = database.prepare(sql);
        return {
          get: (...values) => statement.get(...values),
          all: (...values) => statement.all(...values),
          run(...values) {
            if (isFailing() && /^\s*(?:BEGIN|INSERT|DELETE|UPDATE)/u.test(sql))
              throw Object.assign(new Error("planted"), details);
            return statement.run(...values);
          },
        };
      },
    };
  };
}
