import type { Leases } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { found, KEY, stored, type BackendSubject } from "./backend-subject.ts";
import { PECULIAR_KEYS } from "./peculiar-keys.ts";

/** The part of `describeBackend` about `leases`. Every test passes if the backend has none. */
export function describeLeases(subject: BackendSubject): void {
  /** The leases of this process, and those of another one if the suite can open it. */
  const open = async (): Promise<readonly [own: Leases, other: Leases] | undefined> => {
    const own = subject.backend.leases;
    return own && [own, (await subject.other()).leases!];
  };

  const expectHeld = (answer: Awaited<ReturnType<Leases["acquire"]>>, leaseMs: number): void => {
    expect(answer).toEqual({ granted: false, heldForMs: expect.any(Number) });
    if (!("heldForMs" in answer)) return;
    expect(answer.heldForMs).toBeGreaterThan(0);
    expect(answer.heldForMs).toBeLessThanOrEqual(leaseMs);
  };

  describe("versions, if it has leases:", () => {
    it("keeps the written version, and returns it on reads", async () => {
      if (subject.backend.leases === undefined) return;
      await subject.backend.write(KEY, stored({ version: V1 }));
      expect((await subject.backend.read(KEY))?.version).toBe(V1);
      await subject.backend.write(KEY, stored({ version: V2 }));
      expect((await subject.backend.read(KEY))?.version).toBe(V2);
      expect((await (await subject.other()).read(KEY))?.version).toBe(V2);
      // 32 characters of every kind.
      const version = "-_0123456789AZazZYXWVUTSRQPONMLK";
      await subject.backend.write(KEY, stored({ version }));
      expect((await subject.backend.read(KEY))?.version).toBe(version);
    });

    it("keeps those of a batch", async () => {
      const { leases, batch } = subject.backend;
      if (leases === undefined || batch === undefined) return;
      await subject.backend.write(`${KEY}1`, stored({ version: V1 }));
      await subject.backend.write(`${KEY}2`, stored({ version: V2 }));
      expect((await batch.read([`${KEY}2`, `${KEY}1`])).map((entry) => found(entry)?.version)).toEqual([V2, V1]);
    });

    it("may answer a read of a known version without data: whether it is that of the entry", async () => {
      const { backend } = subject;
      if (backend.leases === undefined) return;
      const entry = stored({ version: V1, meta: "of V1" });
      await backend.write(KEY, entry);
      const known = (await backend.read(KEY, V1))!;
      if (known.isSeen === undefined) return subject.expectEntry(known, entry);
      subject.expectEntry({ ...known, data: entry.data }, entry);
      for (const other of [await backend.read(KEY, V2), await backend.read(`${KEY}2`, V1)])
        expect({ ...known, ...other }).toMatchObject({ data: new Uint8Array(), isSeen: false });
      expect([known.isSeen, known.data]).toEqual([true, new Uint8Array()]);
    });

    it("gives a new version when freshness ends, so that the process that has just written it does not take it for fresh", async () => {
      const { leases, markStale } = subject.backend;
      if (leases === undefined || markStale === undefined) return;
      await subject.backend.write(KEY, stored({ version: V1 }));
      await subject.backend.markStale!(KEY);
      const version = await leases.confirm(KEY);
      expect(version).toMatch(/^stale-./);
      expect((await subject.backend.read(KEY))?.version).toBe(version);
    });

    it("keeps that of an entry that is stale from its beginning, until something changes the key", async () => {
      const { backend } = subject;
      const other = await subject.other();
      if (backend.leases === undefined) return;
      const mark = stored({ data: new Uint8Array(), staleInMs: 0, version: A });
      for (const change of [
        () => other.remove(KEY),
        () => other.markStale?.(KEY),
        () => other.write(KEY, { ...mark, version: V2 }),
      ]) {
        await backend.leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
        expect(await backend.leases.store(KEY, A, "", mark)).toBe(true);
        expect(await other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: A })).toEqual({
          granted: true,
          version: A,
        });
        await change();
        expect(await backend.leases.acquire({ key: KEY, token: V1, leaseMs: MINUTE, seen: A })).not.toMatchObject({
          version: A,
        });
        await backend.remove(KEY);
      }
    });

    it("returns a version for an entry written without one, and accepts it as seen", async () => {
      const leases = subject.backend.leases;
      if (leases === undefined) return;
      await subject.backend.write(KEY, stored());
      const version = (await subject.backend.read(KEY))?.version ?? "";
      expect(version).not.toBe("");
      expect(await leases.confirm(KEY)).toBe(version);
      expect(await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: version })).toEqual({
        granted: true,
        version,
      });
      expect(await leases.store(KEY, A, version, stored({ version: A }))).toBe(true);
    });
  });

  describe("leases, if it has them:", () => {
    it("grants one holder per key, and reports for how long the lease is held", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      expect(await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
      expectHeld(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" }), MINUTE);
      expect(await other.acquire({ key: `${KEY}2`, token: B, leaseMs: MINUTE, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
      expect(await subject.backend.read(KEY), "a lease is not an entry").toBe(undefined);
    });

    it("grants one of many simultaneous requests", async () => {
      const processes = await open();
      if (processes === undefined) return;
      for (let round = 0; round < 5; round += 1) {
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, i) =>
            processes[i % 2]!.acquire({
              key: `${KEY}${round}`,
              token: `token-of-caller${i}`,
              leaseMs: MINUTE,
              seen: "",
            }),
          ),
        );
        expect(answers.filter(({ granted }) => granted).length).toBe(1);
      }
    });

    it("answers with the entry instead if another process has stored it since", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      const written = stored({ data: Uint8Array.of(0, 255), meta: "etag", version: V1 });
      await subject.backend.write(KEY, written);
      for (const seen of ["", V2, "-"]) {
        const answer = await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen });
        expect(answer.granted).toBe(false);
        const entry = "entry" in answer ? answer.entry : undefined;
        subject.expectEntry(entry, written);
        expect(entry?.version).toBe(V1);
      }
      expect(await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 }), "no lease was taken").toEqual({
        granted: true,
        version: V1,
      });
      expect(
        await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: V2 }),
        "also while it is held",
      ).toMatchObject({
        granted: false,
        entry: { version: V1 },
      });
      expectHeld(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: V1 }), MINUTE);
    });

    it("grants the lease of a seen entry that is gone, and returns no entry that has expired", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      await subject.backend.write(KEY, stored({ staleInMs: 100, expiresInMs: 150, version: V1 }));
      await subject.pass(150);
      expect(await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 })).toEqual({
        granted: true,
        version: "",
      });
      expect(await own.store(KEY, A, V1, stored()), "store compares the version that acquire reported").toBe(false);
      expect(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
    });

    it("stores in place of an entry that its caller takes as over, whether it removes that one or not", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      await subject.backend.write(KEY, stored({ version: V1 }));
      const answer = await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1, isOver: true });
      expect(answer.granted).toBe(true);
      const version = "version" in answer ? answer.version : "none";
      expect(["", V1]).toContain(version);
      expect(await own.confirm(KEY)).toBe(version);
      expect(await own.store(KEY, A, version, stored({ version: A }))).toBe(true);
    });

    it("ends on its own, and later calls of its holder have no effect", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      await own.acquire({ key: KEY, token: A, leaseMs: 150, seen: "" });
      await subject.pass(150);
      expect(await own.renew(KEY, A, MINUTE)).toBe(false);
      expect(await own.store(KEY, A, "", stored())).toBe(false);
      expect(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
      expect(await own.renew(KEY, A, 1)).toBe(false);
      expect(await own.store(KEY, A, "", stored())).toBe(false);
      await own.release(KEY, A);
      expect(await subject.backend.read(KEY)).toBe(undefined);
      expect(await other.store(KEY, B, "", stored({ version: B }))).toBe(true);
    });

    it("is taken over by '*', from any holder and with any entry", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      expect(await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "*" }), "without a holder").toEqual({
        granted: true,
        version: "",
      });
      expect(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "*" }), "from a holder").toEqual({
        granted: true,
        version: "",
      });
      expect([await own.renew(KEY, A, MINUTE), await own.store(KEY, A, "", stored())]).toEqual([false, false]);
      expect(await subject.backend.read(KEY)).toBe(undefined);
      expect(await other.store(KEY, B, "", stored({ version: B }))).toBe(true);
      expect(await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "*" }), "beside an entry").toEqual({
        granted: true,
        version: B,
      });
      expect(await own.store(KEY, A, "*", stored({ version: A })), "which is not a version").toBe(false);
    });

    it("is renewed by its holder alone", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      expect(await own.renew(KEY, A, MINUTE), "none was taken").toBe(false);
      expect(await other.acquire({ key: KEY, token: B, leaseMs: 1_000, seen: "" }), "renewing made none").toEqual({
        granted: true,
        version: "",
      });
      expect(await own.renew(KEY, A, MINUTE)).toBe(false);
      expect(await other.renew(KEY, B, MINUTE)).toBe(true);
      await subject.pass(1_000);
      expectHeld(await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" }), MINUTE);
    });

    it("is renewed for the given time, also for a shorter one", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
      expect(await own.renew(KEY, A, 150)).toBe(true);
      await subject.pass(150);
      expect(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
    });

    it("is released by its holder alone, and more than once", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      await own.release(KEY, A);
      await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
      await other.release(KEY, B);
      expectHeld(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" }), MINUTE);
      expect(await own.release(KEY, A)).toBe(undefined);
      expect(await own.release(KEY, A)).toBe(undefined);
      expect(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
    });

    it.each([
      ["fresh", { staleInMs: 60_000, expiresInMs: 90_000 }],
      ["stale", { staleInMs: -1_000, expiresInMs: 60_000 }],
      ["without an end", { staleInMs: Infinity, expiresInMs: Infinity }],
    ])("leaves an entry as it is when it is taken, renewed and released: %s", async (_, times) => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      const written = stored({ ...times, data: Uint8Array.of(0, 255), meta: "etag", version: V1 });
      await subject.backend.write(KEY, written);
      await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 });
      await own.renew(KEY, A, MINUTE);
      await own.release(KEY, A);
      const entry = await subject.backend.read(KEY);
      subject.expectEntry(entry, written);
      expect(entry?.version).toBe(V1);
    });

    it("stores and releases", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      const written = stored({ data: Uint8Array.of(7), meta: "stored", version: A });
      await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
      expect(await own.store(KEY, A, "", written)).toBe(true);
      const entry = await (await subject.other()).read(KEY);
      subject.expectEntry(entry, written);
      expect(entry?.version).toBe(A);
      expect(await own.renew(KEY, A, MINUTE)).toBe(false);
      expect(await own.store(KEY, A, A, stored()), "once").toBe(false);
      expect(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: A })).toEqual({
        granted: true,
        version: A,
      });
    });

    it("gives an entry another life and meta, and keeps its data, its version and the lease on it", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      const written = stored({ data: Uint8Array.of(0, 255), meta: "before", version: V1 });
      await subject.backend.write(KEY, written);
      await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: V1 });
      for (const life of [
        { staleInMs: 2 * MINUTE, expiresInMs: 3 * MINUTE, meta: "after, and longer" },
        { staleInMs: 20_000, expiresInMs: 50_000, meta: "shorter" },
        { staleInMs: 20_000, expiresInMs: 50_000, meta: "shorter" },
        { staleInMs: Infinity, expiresInMs: Infinity, meta: "" },
        { staleInMs: MINUTE, expiresInMs: MINUTE, meta: "m".repeat(65_535) },
        { staleInMs: MINUTE, expiresInMs: MINUTE, meta: "M".repeat(65_535) },
        { staleInMs: MINUTE, expiresInMs: MINUTE, meta: "€".repeat(500) },
      ]) {
        expect(await own.touch(KEY, V1, life)).toBe(true);
        const entry = await (await subject.other()).read(KEY);
        subject.expectEntry(entry, { ...written, ...life });
        expect(entry?.version).toBe(V1);
      }
      expectHeld(await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 }), MINUTE);
      expect(await other.store(KEY, B, V1, stored({ version: B }))).toBe(true);
    });

    it("touches no entry of another version, none that was marked stale, and none that is gone", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      const life = { staleInMs: 2 * MINUTE, expiresInMs: 3 * MINUTE, meta: "after" };
      expect(await own.touch(KEY, V1, life)).toBe(false);
      expect(await own.touch(KEY, "", life)).toBe(false);
      expect(await subject.backend.read(KEY)).toBe(undefined);
      const written = stored({ version: V1 });
      await subject.backend.write(KEY, written);
      for (const seen of [V2, "", "-"]) expect(await own.touch(KEY, seen, life), seen).toBe(false);
      subject.expectEntry(await subject.backend.read(KEY), written);
      await subject.backend.markStale?.(KEY);
      if (subject.backend.markStale !== undefined) expect(await own.touch(KEY, V1, life)).toBe(false);
      await subject.backend.remove(KEY);
      expect(await own.touch(KEY, V1, life)).toBe(false);
      await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
      expect(await own.touch(KEY, A, life), "a lease is not an entry").toBe(false);
      expect(await own.touch(KEY, "", life), "a lease is not an entry").toBe(false);
      expect(await own.store(KEY, A, "", stored({ version: A }))).toBe(true);
    });

    it("stores so that nothing of the older entry survives", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      await subject.backend.write(
        KEY,
        stored({
          data: new Uint8Array(1_000),
          meta: "x".repeat(100),
          staleInMs: Infinity,
          expiresInMs: Infinity,
          version: V1,
        }),
      );
      const written = stored({ data: new Uint8Array(0), meta: "", staleInMs: 30_000, expiresInMs: 60_000, version: A });
      await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 });
      expect(await own.store(KEY, A, V1, written)).toBe(true);
      subject.expectEntry(await subject.backend.read(KEY), written);
    });

    it.each([
      ["an end, by none", { staleInMs: 30_000, expiresInMs: 60_000 }, { staleInMs: Infinity, expiresInMs: Infinity }],
      [
        "staleness, by freshness",
        { staleInMs: -1_000, expiresInMs: 20_000 },
        { staleInMs: 30_000, expiresInMs: 60_000 },
      ],
    ])("stores the times as a write does: %s", async (_, older, newer) => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      await subject.backend.write(KEY, stored({ ...older, version: V1 }));
      await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 });
      expect(await own.store(KEY, A, V1, stored({ ...newer, version: A }))).toBe(true);
      subject.expectEntry(await subject.backend.read(KEY), stored(newer));
    });

    it("stores a life that ends", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
      expect(await own.store(KEY, A, "", stored({ staleInMs: 100, expiresInMs: 150, version: A }))).toBe(true);
      await subject.pass(150);
      expect(await subject.backend.read(KEY)).toBe(undefined);
      expect(await own.confirm(KEY)).toBe("");
    });

    it("stores nothing if another process holds the lease, and leaves its lease", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      expect(await own.store(KEY, A, "", stored({ version: A })), "without a lease").toBe(false);
      await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" });
      expect(await own.store(KEY, A, "", stored({ version: A }))).toBe(false);
      expect(await subject.backend.read(KEY)).toBe(undefined);
      expect(await other.store(KEY, B, "", stored({ version: B }))).toBe(true);
    });

    it.each([
      ["one is there", undefined, V1],
      ["none is there", V1, ""],
      ["another one is there", V1, V2],
    ])(
      "stores nothing where the entry is not the one that was seen, and frees the lease: %s",
      async (_, there, seen) => {
        const [own, other] = (await open()) ?? [];
        if (own === undefined || other === undefined) return;
        if (there !== undefined) await subject.backend.write(KEY, stored({ version: there }));
        await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: there ?? "" });
        expect(await own.store(KEY, A, seen, stored({ version: A }))).toBe(false);
        expect((await subject.backend.read(KEY))?.version).toBe(there);
        expect(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: there ?? "" })).toEqual({
          granted: true,
          version: there ?? "",
        });
      },
    );

    it("stores nothing if the entry has ended meanwhile", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      await subject.backend.write(KEY, stored({ staleInMs: 0, expiresInMs: 1_000, version: V1 }));
      expect(await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 })).toEqual({
        granted: true,
        version: V1,
      });
      await subject.pass(1_000);
      expect(await own.store(KEY, A, V1, stored({ version: A }))).toBe(false);
      expect(await subject.backend.read(KEY)).toBe(undefined);
      expect(await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
    });

    it.each<[string, string | undefined, (subject: BackendSubject) => Promise<unknown> | undefined]>([
      ["write", V2, ({ backend }) => backend.write(KEY, stored({ version: V2 }))],
      ["remove", "", ({ backend }) => backend.remove(KEY)],
      ["markStale", undefined, ({ backend }) => backend.markStale?.(KEY)],
    ])("does not survive %s", async (_, left, change) => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      await subject.backend.write(KEY, stored({ version: V1 }));
      await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: V1 });
      const changing = change(subject);
      if (changing === undefined) return;
      await changing;
      const after = await own.confirm(KEY);
      if (left !== undefined) expect(after).toBe(left);
      expect(await other.renew(KEY, B, MINUTE)).toBe(false);
      expect(await other.store(KEY, B, V1, stored({ version: B }))).toBe(false);
      expect((await subject.backend.read(KEY))?.version ?? "").toBe(after);
      expect(await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: after })).toEqual({
        granted: true,
        version: after,
      });
    });

    it.each<[string, (subject: BackendSubject) => Promise<unknown> | undefined]>([
      ["remove", ({ backend }) => backend.remove(KEY)],
      ["markStale", ({ backend }) => backend.markStale?.(KEY)],
    ])("does not survive %s without an entry", async (_, change) => {
      const [, other] = (await open()) ?? [];
      if (other === undefined) return;
      await other.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" });
      const changing = change(subject);
      if (changing === undefined) return;
      await changing;
      expect(await other.store(KEY, B, "", stored({ version: B }))).toBe(false);
      expect(await subject.backend.read(KEY)).toBe(undefined);
    });

    it("lets one of many store, and keeps its entry", async () => {
      const processes = await open();
      if (processes === undefined) return;
      const tokens = Array.from({ length: 20 }, (_, i) => `token-of-caller${i}`);
      const stores = await Promise.all(
        tokens.map(async (token, i) => {
          const { granted } = await processes[i % 2]!.acquire({ key: KEY, token, leaseMs: MINUTE, seen: "" });
          const isStored = await processes[i % 2]!.store(KEY, token, "", stored({ meta: token, version: token }));
          return [granted, isStored];
        }),
      );
      const winners = tokens.filter((_, i) => stores[i]![1]);
      expect(winners.length).toBe(1);
      expect(stores.filter(([granted]) => granted).length).toBe(1);
      expect(await subject.backend.read(KEY)).toMatchObject({ meta: winners[0], version: winners[0] });
    });

    it("confirms the current version", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      expect(await own.confirm(KEY)).toBe("");
      await own.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
      expect(await own.confirm(KEY), "a lease is not an entry").toBe("");
      await own.store(KEY, A, "", stored({ version: A }));
      expect([await own.confirm(KEY), await other.confirm(KEY)]).toEqual([A, A]);
      await (await subject.other()).write(KEY, stored({ version: V2 }));
      expect(await own.confirm(KEY)).toBe(V2);
      await (await subject.other()).remove(KEY);
      expect(await own.confirm(KEY)).toBe("");
    });

    it("takes peculiar keys, and no two share a lease", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      for (const [what, key] of PECULIAR_KEYS)
        expect(await own.acquire({ key, token: A, leaseMs: MINUTE, seen: "" }), what).toEqual({
          granted: true,
          version: "",
        });
      for (const [i, [what, key]] of PECULIAR_KEYS.entries())
        expect(await own.store(key, A, "", stored({ version: `v${i}` })), what).toBe(true);
      for (const [i, [what, key]] of PECULIAR_KEYS.entries()) expect(await own.confirm(key), what).toBe(`v${i}`);
    });
  });
}

const A = "token-of-A------";
const B = "token-of-B------";
const V1 = "version-1_______";
const V2 = "version-2_______";
const MINUTE = 60_000;
