/** Processes over one SQLite file, without a server: what Redis promises them, on one machine. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { isNightly } from "@hotset/test-servers";
import { afterAll, expect, it } from "vitest";
import { atOnce, holds, loadsNow, PATIENCE, Pool, waitsFor, type Member } from "../support/fleet.ts";

const pool = new Pool();
const folder = mkdtempSync(join(tmpdir(), "hotset-sqlite-"));
afterAll(async () => {
  await pool.end();
  rmSync(folder, { recursive: true, force: true });
});

let files = 0;
async function open(count: number, file = join(folder, `${(files += 1)}.db`)) {
  const members = await Promise.all(
    Array.from({ length: count }, async () => {
      const member = pool.take();
      await member.open({ place: NOWHERE, keyPrefix: "", sqliteFile: file });
      return member;
    }),
  );
  return {
    file,
    members: members as [Member, Member, ...Member[]],
    [Symbol.asyncDispose]: () => pool.giveBack(members),
  };
}

/** A little more than copies are trusted for. */
const TRUSTED_MS = 110;
/** Not used. */
const NOWHERE = { topology: "single", url: "" } as const;

it("C52: 1,000 callers in two processes on a cold key cause one load, and all get its value", async () => {
  await using fleet = await open(2);
  for (const tags of [[], ["t"]]) {
    const herds = await Promise.all(
      fleet.members.map((member) =>
        member.herd(`cold ${tags.length}`, 500, { value: "loaded", takesMs: 40 }, { tags }),
      ),
    );
    expect(herds).toEqual([["loaded"], ["loaded"]]);
    const runs = await Promise.all(fleet.members.map((member) => member.loads(`cold ${tags.length}`)));
    expect(runs.flat()).toHaveLength(1);
  }
});

it("a change in one process is seen in another within the time that copies are trusted", async () => {
  await using fleet = await open(2);
  const [here, there] = fleet.members;
  for (const change of [
    () => here.delete("k"),
    () => here.invalidateTags("t"),
    () => here.set("k", "new"),
    () => here.delete("k"),
  ]) {
    await here.set("k", "old", { tags: ["t"] });
    await holds(there, "k", "old");
    await change();
    await sleep(TRUSTED_MS);
    expect(await there.get("k")).not.toBe("old");
  }
});

it("C53: when the holder of a lease is killed, a waiter goes on once the lease has ended", async () => {
  await using fleet = await open(2);
  const [holder, other] = fleet.members;
  const lost = holder.getOrSet("k", { gate: "never" }).catch((error: Error) => error.message);
  await loadsNow(holder, "k");
  const call = other.serve("k", { value: "taken over" });
  await waitsFor(other, "k");
  await holder.process.kill("SIGKILL");
  expect(await call).toMatchObject({ value: "taken over", status: "miss" });
  expect(await lost).toContain("SIGKILL");
});

it("C53: a holder that was stopped stores nothing over a newer load, and serves no former copy", async () => {
  await using fleet = await open(2);
  const [frozen, other] = fleet.members;
  await other.set("copy", "old");
  await holds(frozen, "copy", "old");
  const held = frozen.getOrSet("k", { gate: "go on", value: "from before" });
  await loadsNow(frozen, "k");
  frozen.process.pause();
  await other.set("copy", "new");
  expect(await other.serve("k", { value: "newer" })).toMatchObject({ value: "newer", status: "miss" });
  frozen.process.resume();
  expect(await frozen.get("copy")).toBe("new");
  await frozen.openGate("go on");
  expect(await held).toBe("from before");
  await expect.poll(() => frozen.get("k"), PATIENCE).toBe("newer");
  expect(await other.get("k")).toBe("newer");
});

it("what was acknowledged before kill -9 is there afterwards, and what was deleted is not", async () => {
  const fleet = await open(1);
  const [killed] = fleet.members;
  for (let i = 0; i < 50; i += 1) await killed.set(`k${i}`, i);
  for (let i = 0; i < 50; i += 2) await killed.delete(`k${i}`);
  await killed.process.kill("SIGKILL");
  await fleet[Symbol.asyncDispose]();
  await using again = await open(1, fleet.file);
  const values = await Promise.all(Array.from({ length: 50 }, (_, i) => again.members[0].get(`k${i}`)));
  expect(values).toEqual(Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? undefined : i)));
});

it("processes that write and read the same keys end with one value of each, and load once", async () => {
  // Eight take most of a minute to start on a busy machine.
  await using fleet = await open(isNightly ? 8 : 4);
  const settled = await Promise.all(
    fleet.members.map(async (member, who) => {
      const statuses = [];
      for (let i = 0; i < 40; i += 1) statuses.push((await member.set(`k${i % 5}`, `${who}.${i}`)).status);
      return statuses;
    }),
  );
  expect(new Set(settled.flat())).toEqual(new Set(["stored"]));
  for (let i = 0; i < 5; i += 1) {
    const values = (): Promise<unknown[]> => Promise.all(fleet.members.map((member) => member.get(`k${i}`)));
    await expect.poll(async () => new Set(await values()).size, PATIENCE).toBe(1);
  }
  const answers = await Promise.all(
    fleet.members.map((member, who) => member.getOrSet("cold", { value: who, takesMs: 100 })),
  );
  expect(new Set(answers).size).toBe(1);
  const runs = await Promise.all(fleet.members.map((member) => member.loads("cold")));
  expect(atOnce(runs.flat())).toBe(1);
  expect(runs.flat()).toHaveLength(1);
});

it("while a process that is stopped has the lock, others read; they write again once it has gone on", async () => {
  await using fleet = await open(2);
  const [here, there] = fleet.members;
  await here.set("k", "before");
  await holds(there, "k", "before");
  const stopped = new DatabaseSync(fleet.file);
  stopped.exec("BEGIN IMMEDIATE");
  expect(await here.setThenGet("k", "meanwhile")).toEqual({ status: "pending", read: "meanwhile" });
  expect(await there.get("k")).toBe("before");
  stopped.exec("ROLLBACK");
  stopped.close();
  await expect.poll(async () => (await here.set("k", "after")).status, PATIENCE).toBe("stored");
  await expect.poll(() => there.get("k"), PATIENCE).toBe("after");
});
