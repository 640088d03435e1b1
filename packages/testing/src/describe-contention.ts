import { scheduler } from "node:timers/promises";
import type { Backend, Leases, StoredEntry } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { apart } from "./apart.ts";
import { KEY, stored, type BackendSubject } from "./backend-subject.ts";

/**
 * The part of `describeBackend` in which processes meet at one key. Every test passes if the backend has no leases, or
 * if the suite cannot open another process.
 */
export function describeContention(subject: BackendSubject): void {
  /** Opens the subject in four processes: this one and three others. Empty without leases or peers. */
  const open = async (): Promise<readonly (Backend & { readonly leases: Leases })[]> => {
    if (subject.backend.leases === undefined || !subject.hasPeers) return [];
    const others = await Promise.all(Array.from({ length: 3 }, () => subject.other()));
    return [subject.backend, ...others] as readonly (Backend & { readonly leases: Leases })[];
  };

  /** Read by a witness, which has not touched the key: a composition may hide changes of others behind what it has. */
  const dataOf = (entry: StoredEntry | undefined): readonly number[] | undefined => entry && [...entry.data];

  describe("where processes meet at one key, if it has leases:", () => {
    it.each([
      ["over an entry", V1],
      ["over nothing", ""],
    ])("grants the lease to one of four: %s", async (_, seen) => {
      const processes = await open();
      for (let round = 0; round < ROUNDS && processes.length > 0; round += 1) {
        const key = `${KEY}${round}`;
        if (seen !== "") await subject.backend.write(key, stored({ version: seen }));
        const answers = await Promise.all(
          processes.map(({ leases }, place) =>
            apart(place, round).then(() => leases.acquire({ key, token: tokenOf(place), leaseMs: MINUTE, seen })),
          ),
        );
        expect(answers.filter(({ granted }) => granted).length, `round ${round}`).toBe(1);
      }
    });

    it.each<[string, (process: { readonly leases: Leases } & Backend, key: string) => Promise<unknown> | undefined]>([
      ["a lease that is taken", ({ leases }, key) => leases.acquire({ key, token: TOKEN, leaseMs: MINUTE, seen: V1 })],
      ["a lease that is given back", ({ leases }, key) => leases.release(key, HELD)],
      ["a lease that is renewed", ({ leases }, key) => leases.renew(key, HELD, MINUTE)],
      ["a life that is prolonged", ({ leases }, key) => leases.touch(key, V1, LIFE)],
      ["a mark", (process, key) => process.markStale?.(key)],
    ])("an acknowledged write outlives %s at the same time", async (what, step) => {
      const [own, other, witness] = await open();
      for (let round = 0; round < ROUNDS && own && other && witness; round += 1) {
        const key = `${KEY}${round}`;
        await own.write(key, stored({ data: Uint8Array.of(1), version: V1 }));
        if (what !== "a lease that is taken") await own.leases.acquire({ key, token: HELD, leaseMs: MINUTE, seen: V1 });
        await Promise.all([
          apart(0, round).then(() => other.write(key, stored({ data: Uint8Array.of(2), version: V2 }))),
          apart(1, round).then(() => step(own, key)),
        ]);
        expect(dataOf(await witness.read(key)), `round ${round}, ${what}`).toEqual([2]);
      }
    });

    it.each<[string, (process: { readonly leases: Leases } & Backend, key: string) => Promise<unknown> | undefined]>([
      ["a lease that is taken", ({ leases }, key) => leases.acquire({ key, token: TOKEN, leaseMs: MINUTE, seen: V1 })],
      ["a life that is prolonged", ({ leases }, key) => leases.touch(key, V1, LIFE)],
      ["a mark", (process, key) => process.markStale?.(key)],
      ["a store under a lease", ({ leases }, key) => leases.store(key, HELD, V1, stored({ version: HELD }))],
    ])("an acknowledged removal is not undone by %s at the same time", async (what, step) => {
      const [own, other, witness] = await open();
      for (let round = 0; round < ROUNDS && own && other && witness; round += 1) {
        const key = `${KEY}${round}`;
        await own.write(key, stored({ version: V1 }));
        if (what !== "a lease that is taken") await own.leases.acquire({ key, token: HELD, leaseMs: MINUTE, seen: V1 });
        await Promise.all([apart(0, round).then(() => other.remove(key)), apart(1, round).then(() => step(own, key))]);
        expect(dataOf(await witness.read(key)), `round ${round}, ${what}`).toBe(undefined);
      }
    });

    it("an entry that is written while the lease of the missing one is given back stays", async () => {
      const [own, other, witness] = await open();
      for (let round = 0; round < ROUNDS && own && other && witness; round += 1) {
        const key = `${KEY}${round}`;
        await own.leases.acquire({ key, token: HELD, leaseMs: MINUTE, seen: "" });
        await Promise.all([
          apart(1, round).then(() => other.write(key, stored({ data: Uint8Array.of(2), version: V2 }))),
          apart(0, round).then(() => own.leases.release(key, HELD)),
        ]);
        expect(dataOf(await witness.read(key)), `round ${round}`).toEqual([2]);
      }
    });

    it("of a store and a lease that another process takes over, one counts", async () => {
      const [own, other, witness] = await open();
      for (let round = 0; round < ROUNDS && own && other && witness; round += 1) {
        const key = `${KEY}${round}`;
        await own.leases.acquire({ key, token: HELD, leaseMs: MINUTE, seen: "" });
        const [, isStored] = await Promise.all([
          apart(0, round).then(() => other.leases.acquire({ key, token: TOKEN, leaseMs: MINUTE, seen: "*" })),
          apart(1, round).then(() =>
            own.leases.store(key, HELD, "", stored({ data: Uint8Array.of(1), version: HELD })),
          ),
        ]);
        expect(dataOf(await witness.read(key)), `round ${round}`).toEqual(isStored ? [1] : undefined);
      }
    });

    it("keeps an entry until its life has ended: a life is never rounded down", { timeout: 120_000 }, async () => {
      // With a clock of the suite the life ends by that clock alone.
      if (subject.expiry === "clock") return;
      await Promise.all([900, 1_999].map((lifeMs) => livesFor(subject.backend, `${KEY}${lifeMs}`, lifeMs)));
    });
  });
}

/**
 * Checks shortly before the end; on a machine that comes too late, with a new entry. A store that estimates the clock of
 * its server ends a life sooner by the time of the call that asked for it: the first read makes such a store ask again,
 * and the time of that read counts.
 */
async function livesFor(backend: Backend, key: string, lifeMs: number): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    await scheduler.wait(ESTIMATES_LAST_MS);
    const askedAt = performance.now();
    await backend.read(key);
    await backend.write(key, stored({ staleInMs: lifeMs, expiresInMs: lifeMs }));
    await scheduler.wait(lifeMs - 150);
    const found = await backend.read(key);
    if (performance.now() - askedAt >= lifeMs) continue;
    return expect(found, `an entry that lives for ${lifeMs} ms`).toBeDefined();
  }
  throw new Error(`20 entries of ${lifeMs} ms were each read too late: the machine is too busy to say`);
}

const ESTIMATES_LAST_MS = 1_050;
const tokenOf = (place: number): string => `token-${place}`.padEnd(16, "_");

const ROUNDS = 12;
const MINUTE = 60_000;
const V1 = "version-1_______";
const V2 = "version-2_______";
const TOKEN = "token-of-another";
const HELD = "token-that-holds";
const LIFE = { staleInMs: 120_000, expiresInMs: 120_000, meta: "json none" };
