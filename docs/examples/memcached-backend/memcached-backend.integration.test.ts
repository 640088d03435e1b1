import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { startMemcached, startOwnMemcached, type TestMemcached } from "@hotset/test-servers";
import { type Backend, createCache, memory } from "hotset";
import { describeBackend, describeSwapStore } from "hotset/contract-suites";
import { createTestCache, gate, TestClock } from "hotset/testing";
import { afterAll, expect, it } from "vitest";
import { Connection } from "./connection.ts";
import { memcachedBackend, memcachedStore } from "./memcached-backend.ts";

const server = await startMemcached();
afterAll(() => server.stop());

const open = ({ host, port }: TestMemcached, clock?: TestClock, log = false): Backend =>
  memcachedBackend({ host, port, log, ...(clock !== undefined && { clock }) });

describeBackend("memcached", {
  async open(clock) {
    await server.command("flush_all");
    return open(server, clock);
  },
  openPeer: (_, clock) => open(server, clock),
  expiry: "clock",
  promises: ["one load", "deletes hold", "tags hold"],
  unreachable: () => memcachedBackend({ port: 1 }),
});

describeBackend("memcached, with a log of changes", {
  async open(clock) {
    await server.command("flush_all");
    return open(server, clock, true);
  },
  openPeer: (_, clock) => open(server, clock, true),
  expiry: "clock",
  promises: ["one load", "deletes hold", "tags hold", "copies follow"],
});

describeSwapStore("memcached", {
  async open() {
    await server.command("flush_all");
    return memcachedStore(server.host, server.port, "test");
  },
  openPeer: () => memcachedStore(server.host, server.port, "test"),
  maxRecordBytes: 1_000_000,
});

it("loads once for two processes, and a load that a delete has overtaken stores nothing", async () => {
  await server.command("flush_all");
  const clock = new TestClock();
  await using here = createTestCache({ clock, backend: open(server, clock), ttl: "1h", localTtl: 100 });
  await using there = createTestCache({ clock, backend: open(server, clock), ttl: "1h", localTtl: 100 });
  const loading = gate<string>();
  const first = here.getOrSet("user", () => loading.pass());
  await loading.arrived();
  await there.delete("user");
  loading.open("old");
  expect(await first).toBe("old");
  expect(await there.get("user")).toBe(undefined);
  expect(await there.getOrSet("user", () => "new")).toBe("new");
  clock.advance(100);
  expect(await here.getOrSet("user", () => "loaded twice")).toBe("new");
});

it("with a log, copies in memory follow the changes of another process, without a localTtl", async () => {
  await server.command("flush_all");
  const cache = () =>
    createCache({ name: "shop" })
      .tier(memory())
      .tier(open(server, undefined, true))
      .defaults({ ttl: "1h" })
      .build();
  await using here = cache();
  await using there = cache();
  await here.set("user", "old", { tags: ["users"] });
  for (const change of [
    () => there.set("user", "new", { tags: ["users"] }),
    () => there.invalidateTags("users"),
    () => there.set("user", "last"),
    () => there.delete("user"),
  ]) {
    await change();
    const now = await there.get("user");
    await expect.poll(() => here.get("user"), { timeout: 20_000 }).toBe(now);
  }
  await here.set("user", "kept");
  const { hits } = here.stats().tiers[0]!;
  for (let i = 0; i < 5; i += 1) expect(await here.get("user")).toBe("kept");
  expect(here.stats().tiers[0]!.hits).toBeGreaterThan(hits);
});

it("a version that was read before a restart of the server names no record after it", async () => {
  await using own = await startOwnMemcached();
  const [here, there] = [memcachedStore(own.host, own.port, "here"), memcachedStore(own.host, own.port, "there")];
  const bytes = Buffer.from("before");
  await here.swap("user", bytes, undefined, 60_000);
  const { version } = (await here.get("user"))!;
  await own.kill();
  await expect(here.get("user")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  await own.start();
  // The first record of a new server has the same number.
  expect((await there.swap("user", Buffer.from("after"), undefined, 60_000))?.cas).toBe(version.cas);
  expect(await here.swap("user", bytes, version, 60_000)).toBe(undefined);
  expect(await here.delete("user", version)).toBe(false);
  const found = await here.get("user");
  expect(Buffer.from(found!.bytes).toString()).toBe("after");
  expect(await here.swap("user", bytes, found!.version, 60_000)).toMatchObject({ cas: "2" });
  await Promise.all([here.close(), there.close()]);
});

it("a server that counts no versions is refused: each swap over its records would win", async () => {
  await using own = await startOwnMemcached(["-C"]);
  const store = memcachedStore(own.host, own.port, "store");
  const message = "store: memcached was started with -C, and counts no versions: start it without";
  await expect(store.swap("user", Buffer.from("a"), undefined, 60_000)).rejects.toThrow(message);
  await expect(store.get("user")).rejects.toThrow(message);
  await store.close();
});

it("an error of the server ends the connection: what was sent may be read as further commands", async () => {
  const store = memcachedStore(server.host, server.port, "store");
  await server.command("md after-errors");
  const bytes = Buffer.from("mn");
  const { connection } = (await store.swap("after-errors", bytes, undefined, 60_000))!;
  await expect(store.swap("e".repeat(300), bytes, undefined, 60_000)).rejects.toThrow("store: swap: CLIENT_ERROR");
  expect(connection.isOpen).toBe(false);
  expect((await store.get("after-errors"))?.version.connection.isOpen).toBe(true);
  await store.close();
});

it("a server that stands still is given up after two seconds, also while calls keep coming", async () => {
  const silent = createServer(() => undefined);
  await once(silent.listen(0, "127.0.0.1"), "listening");
  const connection = new Connection("127.0.0.1", (silent.address() as AddressInfo).port);
  const later: Promise<unknown>[] = [];
  const calling = setInterval(() => later.push(connection.send("mn").catch(String)), 100);
  try {
    await expect(connection.send("mn")).rejects.toThrow("no answer");
    clearInterval(calling);
    expect(later.length).toBeGreaterThan(2);
    expect(new Set(await Promise.all(later))).toEqual(new Set(["Error: no answer"]));
    expect(connection.isOpen).toBe(false);
    await expect(connection.send("mn")).rejects.toThrow("no answer");
  } finally {
    clearInterval(calling);
    connection.close();
    silent.close();
  }
});
