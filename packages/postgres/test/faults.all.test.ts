import { kill } from "node:process";
import { scheduler } from "node:timers/promises";
import { BackendUnavailableError, createCache, type Backend, type Cache, type StoredEntry } from "@hotset/core";
import { memory } from "@hotset/memory";
import { postgres, type PostgresOptions } from "@hotset/postgres";
import { randomPrefix, startOwnPostgres, startProxy, until } from "@hotset/test-servers";
import pg from "pg";
import { afterAll, beforeEach, expect, it, onTestFinished } from "vitest";

let schema: string;

const server = await startOwnPostgres();
afterAll(() => server.stop());
beforeEach(() => {
  schema = randomPrefix();
});

function backend(options: PostgresOptions = {}): Backend {
  const made = postgres({ url: server.url, schema, ...options });
  onTestFinished(() => made.close());
  return made;
}

/** A cache as one of several processes has it. */
function process(options: PostgresOptions = {}): Cache {
  const cache = createCache({ name: "shop" }).tier(memory()).tier(backend(options)).defaults({ ttl: "10m" }).build();
  onTestFinished(() => cache.close());
  return cache;
}

const entry = (text: string, version = text): StoredEntry => ({
  data: Buffer.from(text),
  staleInMs: 60_000,
  expiresInMs: 60_000,
  meta: "json none",
  version,
});
const END_ALL = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hotset'";

it("serves no older value once a delete is acknowledged, though all connections are cut again and again", async () => {
  const [own, other] = [process(), process()];
  for (let round = 0; round < 8; round += 1) {
    await other.getOrSet("k", () => round);
    await server.query(END_ALL);
    await until("the delete", async () => (await own.delete("k")).status !== "pending");
    const acknowledgedAt = performance.now();
    const formerAfterMs: number[] = [];
    await until("the new value", async () => {
      const askedAt = performance.now();
      const isNew = (await other.getOrSet("k", () => round + 1)) === round + 1;
      if (!isNew) formerAfterMs.push(askedAt - acknowledgedAt);
      return isNew;
    });
    // Trust in local copies ends with the link, or after maxStaleness.
    expect(formerAfterMs.filter((ms) => ms >= 2_000)).toEqual([]);
    expect(await own.getOrSet("k", () => -1)).toBe(round + 1);
    await other.delete("k");
  }
});

it("finds no entry and nothing old after kill -9, and stores again", async () => {
  const [own, other] = [process(), process()];
  await own.set("k", "before");
  expect(await other.get("k")).toBe("before");
  await server.kill();
  expect(await own.getOrSet("other", () => "loaded")).toBe("loaded");
  await server.start();
  // Removals from before are issued again behind the first values.
  await until("the new value, stored", async () => {
    await own.set("k", "after");
    if ((await other.get("k")) !== "after") return false;
    const [row] = await server.query(`select count(*)::int as n from ${schema}.entries`);
    return Number(row?.["n"]) > 0;
  });
});

it("works again after a restart, and calls in between settle", async () => {
  const own = backend();
  await own.write("k", entry("1"));
  const restarting = server.restart();
  await own.read("k").catch((error: unknown) => expect(error).toBeInstanceOf(BackendUnavailableError));
  await restarting;
  const found = await until("an answer", async () => [await own.read("k")]);
  // A clean end keeps unlogged tables.
  expect(found[0]?.version).toBe("1");
});

it("calls settle within the deadline while the server stands still for 2 s, and nothing of them comes later", async () => {
  const own = backend({ deadline: 800 });
  await own.connect!();
  await own.write("k", entry("first"));
  await server.pause();
  const results = await Promise.allSettled([
    own.write("k", entry("given up")),
    own.read("k"),
    own.leases!.acquire({ key: "j", token: "token", leaseMs: 1_000, seen: "" }),
    own.tagVersions!.pin(["t"]),
  ]);
  for (const result of results)
    expect(result).toMatchObject({ status: "rejected", reason: expect.any(BackendUnavailableError) });
  await scheduler.wait(1_200);
  await server.resume();
  await until("the removal", async () => {
    await own.remove("k");
    return true;
  });
  await scheduler.wait(300);
  expect(await own.read("k")).toBe(undefined);
});

it.each([
  ["ISO, MDY", "UTC"],
  // PostgreSQL writes its zone as IST, and reads that as Israel's.
  ["SQL, DMY", "Asia/Kolkata"],
])("a write given up in a process that stood still comes after no later removal: dates as %s", async (...style) => {
  const [dates, zone] = style;
  await server.query(`alter database postgres set datestyle = '${dates}'`);
  await server.query(`alter database postgres set timezone = '${zone}'`);
  onTestFinished(async () => {
    await server.query("alter database postgres reset datestyle");
    await server.query("alter database postgres reset timezone");
  });
  const own = backend({ deadline: 800 });
  await own.connect!();
  await own.write("k", entry("first"));
  const rows = await server.query("select pid from pg_stat_activity where application_name = 'hotset'");
  const pids = rows.map(({ pid }) => pid as number);
  for (const pid of pids) kill(pid, "SIGSTOP");
  await expect(own.write("k", entry("given up"))).rejects.toBeInstanceOf(BackendUnavailableError);
  // New connections work. A removal that was acknowledged now would be undone.
  await expect(own.remove("k")).rejects.toBeInstanceOf(BackendUnavailableError);
  for (const pid of pids) kill(pid, "SIGCONT");
  await until("the removal", async () => (await own.remove("k")) !== undefined);
  await scheduler.wait(300);
  expect(await own.read("k")).toBe(undefined);
});

it("ends no other session that has the number of the process of a write that was given up", async () => {
  const [pool, stranger] = [new pg.Pool({ connectionString: server.url }), new pg.Client(server.url)];
  onTestFinished(() => stranger.end());
  onTestFinished(() => pool.end());
  await stranger.connect();
  const own = postgres({ pool, schema, deadline: 500 });
  onTestFinished(() => own.close());
  await own.connect!();
  // The number of the process was used again after it ended.
  const lies = (client: pg.PoolClient): unknown =>
    Object.defineProperty(client, "processID", { value: (stranger as unknown as { processID: number }).processID });
  pool.on("acquire", lies);
  await own.write("k", entry("first"));
  await stranger.query(`begin; lock table ${schema}.entries`);
  await expect(own.write("k", entry("given up"))).rejects.toBeInstanceOf(BackendUnavailableError);
  await stranger.query("commit");
  expect(await own.remove("k")).toBe("deleted");
  expect((await stranger.query("select 7 as n")).rows).toEqual([{ n: 7 }]);
});

it("a server that is silent at the first call is given up, and found once it answers", async () => {
  await using proxy = await startProxy(server.port);
  proxy.swallow();
  const own = backend({ url: `postgres://hotset@127.0.0.1:${proxy.port}/postgres`, deadline: 500 });
  await expect(own.read("k")).rejects.toBeInstanceOf(BackendUnavailableError);
  await expect(own.write("k", entry("1"))).rejects.toBeInstanceOf(BackendUnavailableError);
  await proxy.pass();
  await until("an answer", async () => (await own.read("k")) === undefined);
});

it("a server that is switched to read-only refuses changes and answers reads", async () => {
  const own = backend();
  await own.write("k", entry("1"));
  await server.query(`alter database postgres set default_transaction_read_only = on`);
  await server.query(END_ALL);
  try {
    await until("a refusal", async () => {
      const error = await own.remove("k").then(
        () => undefined,
        (reason: unknown) => reason,
      );
      return (error as { readonly code?: string } | undefined)?.code === "25006";
    });
    expect((await own.read("k"))?.version).toBe("1");
  } finally {
    await server.query("begin read write; alter database postgres reset all; commit");
  }
  await until("the removal", async () => (await own.remove("k")) === "deleted");
});

it("refuses a write and keeps no old entry when the disk is full", async () => {
  const own = backend();
  await own.write("k", entry("old"));
  await server.query(
    `create function ${schema}.no_room() returns trigger language plpgsql as $$ begin raise exception 'refused' using errcode = '53100'; end $$;
     create trigger no_room before insert or update on ${schema}.entries for each row execute function ${schema}.no_room()`,
  );
  await expect(own.write("k", entry("new"))).rejects.toMatchObject({ code: "53100" });
  expect(await own.read("k")).toBe(undefined);
  await server.query(`drop trigger no_room on ${schema}.entries`);
});

it.each([
  ["the disk is full", "53100", (at: string) => `create trigger full_disk before insert or update on ${at}.entries`],
  ["the queue of notifications is full", "54000", undefined],
])("refuses a store and keeps no old entry when %s", async (_, state, trigger) => {
  const own = backend();
  await own.write("k", entry("old"));
  await own.leases!.acquire({ key: "k", token: "token", leaseMs: 60_000, seen: "old" });
  const raise = `raise exception 'refused' using errcode = '${state}'`;
  const original = await server.query(`select pg_get_functiondef('${schema}.report'::regproc) as text`);
  await server.query(
    trigger === undefined
      ? `create or replace function ${schema}.report(kind text, name bytea, version text) returns void language plpgsql as $$ begin if kind = 's' then ${raise}; end if; end $$`
      : `create function ${schema}.full() returns trigger language plpgsql as $$ begin ${raise}; end $$;
         ${trigger(schema)} for each row execute function ${schema}.full()`,
  );
  await expect(own.leases!.store("k", "token", "old", entry("new"))).rejects.toMatchObject({ code: state });
  expect(await own.read("k")).toBe(undefined);
  expect(await own.leases!.renew("k", "token", 1_000)).toBe(false);

  if (trigger === undefined) await server.query(original[0]!["text"] as string);
  else await server.query(`drop trigger full_disk on ${schema}.entries`);
  await own.write("k", entry("again"));
  expect((await own.read("k"))?.version).toBe("again");
});
