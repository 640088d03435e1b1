/** Primaries that change and slots that move under load: no wrong answer meanwhile, and no old one afterwards. */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "@hotset/test-servers";
import type { Topology } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Drive } from "../support/fleet-member.ts";
import { overEach, PATIENCE, Pool, sharedNow, type Fleet, type FleetSettings, type Member } from "../support/fleet.ts";

const MAX_STALENESS_MS = 2_000;
const SETTINGS: FleetSettings = { maxStalenessMs: MAX_STALENESS_MS, responseTimeoutMs: 1_000, connectTimeoutMs: 2_000 };
const WITH_REPLICAS: readonly Topology[] = ["cluster", "sentinel"];

const pool = new Pool();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-failover-"));
  await Promise.all(WITH_REPLICAS.map((topology) => pool.servers(topology, { patienceMs: 2_000 })));
});
afterAll(async () => {
  await pool.end();
  await rm(folder, { recursive: true });
});

/**
 * Three processes read, one of them changes, and `disturb` happens meanwhile.
 *
 * Wrong answers: in the process that makes the changes, one older than its own earlier change; in another process,
 * one older than a change acknowledged `maxStaleness` before. A process that cannot reach Redis serves the copies
 * it has, so for other processes the rule holds before `disturb`, and again once all processes are in step.
 *
 * @returns the time from `disturb` until all processes were in step again, in milliseconds.
 */
async function underLoad(fleet: Fleet, keys: readonly string[], disturb: () => Promise<unknown>): Promise<number> {
  const source = join(folder, fleet.keyPrefix);
  await mkdir(source);
  for (const key of keys) await writeFile(join(source, key), "1");
  const [changing] = fleet.members as [Member];
  const driving = fleet.members.map((member) => member.drive(keys, source, member === changing));
  // How fast the load begins is not the subject, and a busy machine takes its time.
  await expect.poll(async () => (await changing.stats()).misses, PATIENCE).toBeGreaterThan(40);
  const disturbedAt = sharedNow();
  await disturb();
  await fleet.inStep();
  // The others receive reissued invalidations within this.
  const inStepAt = sharedNow();
  const healedAt = inStepAt + MAX_STALENESS_MS;
  await until("answers after that", () => Promise.resolve(sharedNow() > healedAt + 4_000));
  for (const member of fleet.members) await member.openGate("enough");
  const drives = await Promise.all(driving);
  const { changes } = drives[0]!;
  expect(changes.length).toBeGreaterThan(20);
  for (const [i, drive] of drives.entries()) {
    expect(drive.failed).toEqual([]);
    expect(drive.reads.filter(({ at }) => at > healedAt).length).toBeGreaterThan(5);
    expect(
      wrongIn(
        drive,
        changes,
        i === 0
          ? { staleMs: 0, isExempt: () => false }
          : { staleMs: MAX_STALENESS_MS, isExempt: (at) => at > disturbedAt - 50 && at < healedAt },
      ),
    ).toEqual([]);
  }
  await fleet.inStep();
  for (const key of keys) {
    const version = Math.max(1, ...changes.filter((change) => change.key === key).map((change) => change.version));
    for (const member of fleet.members) {
      await expect
        .poll(() => member.getOrSet(key, { source: join(source, key) }), { ...PATIENCE, message: key })
        .toEqual({ version });
      expect([undefined, version]).toContain(
        ((await member.peek(key)) as { readonly version: number } | undefined)?.version,
      );
    }
  }
  return inStepAt - disturbedAt;
}

function wrongIn(
  { reads }: Drive,
  changes: Drive["changes"],
  { staleMs, isExempt }: { readonly staleMs: number; readonly isExempt: (at: number) => boolean },
): readonly string[] {
  return reads.flatMap(({ key, version, at }) => {
    if (isExempt(at)) return [];
    const least = changes.reduce(
      (most, change) =>
        change.key === key && change.at + staleMs < at && (staleMs === 0 || change.status !== "pending")
          ? Math.max(most, change.version)
          : most,
      1,
    );
    return version >= least ? [] : [`${key}: ${version} at ${Math.round(at)}, and ${least} was there before`];
  });
}

/** A failover, and what a busy machine adds. Less than the wait for it, so that it can fail. */
const OUT_OF_STEP_MS = 25_000;
const KEYS = Array.from({ length: 24 }, (_, i) => `k${i}`);

describe("A96 C91: the process that changes reads nothing older, others do so within their bound once they are in step, and no call fails,", () => {
  it(
    "when a primary is killed under load and a replica takes its place",
    overEach(pool, WITH_REPLICAS, async (servers) => {
      await servers.healed();
      await using fleet = await pool.open(servers, 3, SETTINGS);
      expect(await underLoad(fleet, KEYS, () => servers.failOver(fleet.keyOf("k0")))).toBeLessThan(OUT_OF_STEP_MS);
    }),
  );

  it(
    "when a replica takes over under load and the old primary stays up",
    overEach(pool, WITH_REPLICAS, async (servers) => {
      await servers.healed();
      await using fleet = await pool.open(servers, 3, SETTINGS);
      expect(await underLoad(fleet, KEYS, () => servers.changeOver(fleet.keyOf("k0")))).toBeLessThan(OUT_OF_STEP_MS);
    }),
  );

  it("when slots of a cluster move under load, with their keys half here and half there for a while", async () => {
    const servers = await pool.servers("cluster");
    const cluster = servers.cluster!;
    await servers.healed();
    await using fleet = await pool.open(servers, 3, SETTINGS);
    const from = await servers.primaryOf(fleet.keyOf("{moving}"));
    const to = (await cluster.masters()).find((node) => node !== from)!;
    const keys = Array.from({ length: 12 }, (_, i) => `{moving} ${i}`);
    const took = await underLoad(fleet, keys, async () => {
      const slot = await cluster.slotOf(fleet.keyOf("{moving}"));
      const migration = await cluster.migrateHalfway(slot, to);
      await migration.move(...keys.slice(0, 6).map((key) => fleet.keyOf(key)));
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await migration.finish();
      // The slot of the tag versions moves too: the version of the namespace is read with every entry.
      const home = await servers.primaryOf(fleet.tagKeyOf(""));
      const tags = await cluster.migrateHalfway(
        await cluster.slotOf(fleet.tagKeyOf("")),
        (await cluster.masters()).find((node) => node !== home)!,
      );
      await new Promise((resolve) => setTimeout(resolve, 500));
      await tags.finish();
    });
    expect(took).toBeLessThan(OUT_OF_STEP_MS);
  });
});
