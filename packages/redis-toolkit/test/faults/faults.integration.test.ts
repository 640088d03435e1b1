// Every module under the faults of one server and of this process: calls settle, typed, and nothing is done
// twice unsaid.

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BackendUnavailableError } from "@hotset/core";
import type { CommandError } from "@hotset/redis-toolkit";
import { isNightly, type OwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { EVERYWHERE, startServers, type Where } from "../servers.ts";
import { named, ofEach, outcomeOf, subjectsOver, type Tried } from "./subjects.ts";

const servers = startServers();
const IN_A_TICK = isNightly ? 10_000 : 2_000;

/** The servers that take writes. */
async function primaries(where: Where): Promise<readonly OwnRedis[]> {
  if (where === "a cluster") return (await servers.cluster()).masters();
  return where === "sentinels" ? [await (await servers.sentinel()).primary()] : [servers.single];
}

interface Refusal {
  readonly code: CommandError["code"];
  readonly where?: readonly Where[];
  begin(server: OwnRedis): Promise<unknown>;
  end(server: OwnRedis): Promise<unknown>;
}

const snapshot = (server: OwnRedis): string => join(server.directory, "dump.rdb");

const REFUSALS: readonly Refusal[] = [
  {
    code: "OUT_OF_MEMORY",
    begin: (server) => server.command("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", 1),
    end: (server) => server.command("CONFIG", "SET", "maxmemory", 0),
  },
  {
    code: "PERSISTENCE_FAILED",
    async begin(server) {
      // A folder stands where the snapshot is to be.
      await rm(snapshot(server), { recursive: true, force: true });
      await mkdir(snapshot(server));
      await server.command("CONFIG", "SET", "save", "3600 1");
      await server.command("BGSAVE");
      await expect.poll(async () => (await server.info("persistence"))["rdb_last_bgsave_status"]).toBe("err");
    },
    async end(server) {
      await rm(snapshot(server), { recursive: true });
      await server.command("CONFIG", "SET", "save", "");
    },
  },
  {
    code: "TOO_FEW_REPLICAS",
    begin: (server) => server.command("CONFIG", "SET", "min-replicas-to-write", 9),
    end: (server) => server.command("CONFIG", "SET", "min-replicas-to-write", 0),
  },
  {
    code: "READ_ONLY",
    // Elsewhere a primary that becomes a replica is a failover.
    where: ["one server", "one server over RESP2", "a client of the user"],
    begin: (server) => server.command("REPLICAOF", "127.0.0.1", 1),
    end: (server) => server.command("REPLICAOF", "NO", "ONE"),
  },
];

describe.each(EVERYWHERE)("C260 over %s", (where) => {
  it.each(REFUSALS.filter((refusal) => refusal.where?.includes(where) ?? true))(
    "a server that refuses writes, $code: each is a typed error and does nothing, and reads go on",
    async ({ code, begin, end }) => {
      const tried = subjectsOver(await servers.open(where));
      await ofEach(tried, (one) => one.write());
      const affected = await primaries(where);
      await Promise.all(affected.map(begin));
      try {
        const expected = named(tried, ({ subject }) => subject.refusedAs?.(code) ?? code);
        expect(await ofEach(tried, (one) => outcomeOf(one.write()))).toEqual(expected);
        expect(await ofEach(tried, (one) => outcomeOf(one.read()))).toEqual(named(tried, () => "done"));
      } finally {
        await Promise.all(affected.map(end));
      }
      const afterwards = (one: Tried): Promise<string> => outcomeOf(one.write());
      expect(await ofEach(tried, afterwards)).toEqual(named(tried, () => "done"));
      expect(await ofEach(tried, (one) => one.effects())).toEqual(
        named(tried, ({ subject }) => (subject.refusedAs?.(code) === "done" ? 3 : 2)),
      );
    },
  );

  it("a server that stalls for 1.6 s: every call is carried out, once", async () => {
    // The stall may be longer on a busy machine.
    const tried = subjectsOver(await servers.open(where, { commandTimeout: "10s" }));
    await ofEach(tried, (one) => one.write());
    const stalled = await primaries(where);
    for (const server of stalled) server.pause();
    const calls = ofEach(tried, (one) => outcomeOf(Promise.all(Array.from({ length: 20 }, () => one.write()))));
    await sleep(1_600);
    for (const server of stalled) server.resume();
    expect(await calls).toEqual(named(tried, () => "done"));
    expect(await ofEach(tried, (one) => one.effects())).toEqual(named(tried, () => 21));
  });

  it("this process stalls for 2 s, twice its deadline: no call fails for it", async () => {
    const tried = subjectsOver(await servers.open(where, { commandTimeout: "1s" }));
    await ofEach(tried, (one) => one.write());
    const calls = ofEach(tried, (one) => outcomeOf(Promise.all(Array.from({ length: 20 }, () => one.write()))));
    await new Promise((resolve) => setImmediate(resolve));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000);
    expect(await calls).toEqual(named(tried, () => "done"));
    expect(await ofEach(tried, (one) => one.effects())).toEqual(named(tried, () => 21));
  });

  it("a server that hangs: calls end at their deadline, and say that they may have been carried out", async () => {
    const tried = subjectsOver(await servers.open(where, { commandTimeout: "1s" }));
    await ofEach(tried, (one) => one.write());
    const hanging = await primaries(where);
    for (const server of hanging) server.pause();
    const ended = ofEach(tried, (one) =>
      one.write().then(
        () => "done",
        (error: unknown) => error,
      ),
    );
    // All of them, while the servers hang.
    const errors = await ended;
    for (const server of hanging) server.resume();
    for (const error of Object.values(errors)) {
      expect(error).toBeInstanceOf(BackendUnavailableError);
      expect(error).toMatchObject({ maybeExecuted: true });
    }
    await expect.poll(() => ofEach(tried, (one) => outcomeOf(one.write()))).toEqual(named(tried, () => "done"));
    for (const [name, effects] of Object.entries(await ofEach(tried, (one) => one.effects())))
      expect([name, effects >= 2]).toEqual([name, true]);
  });

  // Only a hanging test may fail by time: thirteen subjects are called.
  it(`${IN_A_TICK} calls in a tick are carried out, once each`, async () => {
    const tried = subjectsOver(await servers.open(where, { commandTimeout: "2m" }));
    for (const one of tried) {
      const calls = Promise.all(Array.from({ length: IN_A_TICK }, () => one.write()));
      expect([one.subject.name, await outcomeOf(calls), await one.effects()]).toEqual([
        one.subject.name,
        "done",
        IN_A_TICK,
      ]);
    }
  });
});
