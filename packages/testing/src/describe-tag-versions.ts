import type { TagVersions } from "@hotset/core";
import { describe, expect, it } from "vitest";
import type { BackendSubject } from "./backend-subject.ts";

/** The part of `describeBackend` about `tagVersions`. Every test passes if the backend has none. */
export function describeTagVersions(subject: BackendSubject): void {
  /** The tag versions of this process, and those of another one if the suite can open it. */
  const open = async (): Promise<readonly [own: TagVersions, other: TagVersions] | undefined> => {
    const own = subject.backend.tagVersions;
    return own && [own, (await subject.other()).tagVersions!];
  };

  describe("tagVersions, if it has them:", () => {
    it("does nothing with nothing", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      expect(await own.read([])).toEqual([]);
      expect((await own.pin([])).versions).toEqual([]);
      const { at } = await own.pin([ONE]);
      expect(await own.unchangedSince(at, [])).toEqual([]);
      expect(await own.renew([], "hard")).toBe(undefined);
    });

    it("reports a missing version as missing, and issues none on reads", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      expect(await own.read([ONE, TWO])).toEqual([undefined, undefined]);
      expect(await own.read([ONE])).toEqual([undefined]);
    });

    it("issues the missing ones when they are pinned, and leaves the others", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      const [one] = (await own.pin([ONE])).versions;
      const { at, versions } = await other.pin([TWO, ONE]);
      expect(at).toEqual(expect.any(String));
      expect(versions[1]).toEqual(one);
      expect(await own.read([ONE, TWO, NAMESPACE])).toEqual([one, versions[0], undefined]);
      expect((await own.pin([ONE, TWO])).versions).toEqual([one, versions[0]]);
    });

    it("answers in order, repeated tags included", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      await own.renew([ONE], "hard");
      await own.renew([TWO], "hard");
      const [two, one, again] = (await own.pin([TWO, ONE, TWO])).versions;
      expect(again).toEqual(two);
      expect(one).not.toEqual(two);
      expect(await own.read([ONE, TWO, ONE])).toEqual([one, two, one]);
    });

    it("pins, reads and renews the 2,048 tags of an entry, of which the longest have 512 characters", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      const tags = Array.from({ length: 2_048 }, (_, i) => ONE + String(i).padStart(i < 63 ? 512 : 36, "t"));
      const { at, versions } = await own.pin(tags);
      expect(versions).toHaveLength(2_048);
      expect(await other.read(tags)).toEqual(versions);
      await other.renew([tags[62]!], "soft");
      const changed = await own.unchangedSince(at, tags);
      expect(changed[62]).toBe(undefined);
      expect(changed.map((version, i) => version ?? versions[i])).toEqual(versions);
      for (let from = 0; from < tags.length; from += 63) await own.renew(tags.slice(from, from + 63), "hard");
      const renewed = await other.read(tags);
      expect(renewed.filter((version, i) => version?.hard === versions[i]!.hard)).toEqual([]);
    });

    it("pins one version of a tag for simultaneous callers", async () => {
      const processes = await open();
      if (processes === undefined || !subject.hasPeers) return;
      for (let round = 0; round < 5; round += 1) {
        const pins = await Promise.all(Array.from({ length: 10 }, (_, i) => processes[i % 2]!.pin([`${ONE}${round}`])));
        const [version] = await processes[0].read([`${ONE}${round}`]);
        for (const { versions } of pins) expect(versions).toEqual([version]);
      }
    });

    it("renews hard: both halves differ from then on, for every process", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      const [before, untouched] = (await own.pin([ONE, TWO])).versions;
      expect(await own.renew([ONE], "hard")).toBe(undefined);
      const [after, two] = await other.read([ONE, TWO]);
      expect(after!.hard).not.toBe(before!.hard);
      expect(after!.soft).not.toBe(before!.soft);
      expect(two).toEqual(untouched);
      expect(await own.read([ONE])).toEqual([after]);
    });

    it("renews soft: only that half differs from then on, for every process", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      const [before, untouched] = (await own.pin([ONE, TWO])).versions;
      await own.renew([ONE], "soft");
      const [after, two] = await other.read([ONE, TWO]);
      expect(after!.hard).toBe(before!.hard);
      expect(after!.soft).not.toBe(before!.soft);
      expect(two).toEqual(untouched);
    });

    it("renews several in one call, missing ones included", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      const [before] = (await own.pin([ONE])).versions;
      await own.renew([ONE, TWO], "soft");
      const [one, two] = await own.read([ONE, TWO]);
      expect([one!.hard === before!.hard, one!.soft === before!.soft]).toEqual([true, false]);
      expect(two).toEqual({ hard: expect.any(String), soft: expect.any(String) });
      expect((await own.pin([TWO])).versions).toEqual([two]);
    });

    it.each(["hard", "soft"] as const)("issues no version twice: %s", async (mode) => {
      const processes = await open();
      if (processes === undefined) return;
      await processes[0].pin([ONE, TWO]);
      const seen = new Set<string>();
      for (let round = 0; round < 10; round += 1) {
        await Promise.all([processes[0].renew([ONE], mode), processes[1].renew([ONE], mode)]);
        const [version] = await processes[0].read([ONE]);
        expect(seen).not.toContain(version![mode]);
        seen.add(version![mode]);
      }
    });

    it("returns no older version once a renewal is acknowledged", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      for (let round = 0; round < 10; round += 1) {
        const [before] = (await own.pin([ONE])).versions;
        const late = other.pin([ONE]);
        await own.renew([ONE], "hard");
        const [read, [pinned]] = [await other.read([ONE]), (await other.pin([ONE])).versions];
        expect(read[0]!.hard).not.toBe(before!.hard);
        expect(pinned).toEqual(read[0]);
        await late;
      }
    });

    it("reports late tags as unchanged, a missing one issued, while nothing was renewed", async () => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      const {
        versions: [two],
      } = await own.pin([TWO]);
      const { at } = await own.pin([NAMESPACE]);
      await other.pin([THREE]);
      const [one, unchanged, three] = await own.unchangedSince(at, [ONE, TWO, THREE]);
      expect(unchanged).toEqual(two);
      expect([one, three].every((version) => version !== undefined)).toBe(true);
      expect(await other.read([ONE, TWO, THREE])).toEqual([one, two, three]);
    });

    it.each([
      ["hard", "own"],
      ["soft", "own"],
      ["hard", "other"],
      ["soft", "other"],
    ] as const)("reports no late tag that was renewed meanwhile: %s, by the %s process", async (mode, by) => {
      const [own, other] = (await open()) ?? [];
      if (own === undefined || other === undefined) return;
      const {
        versions: [two],
      } = await own.pin([TWO, ONE]);
      const { at } = await own.pin([NAMESPACE]);
      await (by === "own" ? own : other).renew([ONE, THREE], mode);
      const [one, unrelated, three] = await own.unchangedSince(at, [ONE, TWO, THREE]);
      expect([one, three]).toEqual([undefined, undefined]);
      // A backend may know only that something was renewed.
      expect([undefined, two]).toContainEqual(unrelated);
    });

    it("reports no tag for which it cannot know, and reports it to the next load", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      const { at } = await own.pin([NAMESPACE]);
      await own.renew([ONE], "hard");
      // It may have been renewed, and then been lost: a backend may remember that it was not.
      const [unknown] = await own.unchangedSince(at, [TWO]);
      expect([undefined, ...(await own.read([TWO]))]).toContainEqual(unknown);
      const next = await own.pin([NAMESPACE]);
      const [two] = await own.unchangedSince(next.at, [TWO]);
      expect(two).toEqual({ hard: expect.any(String), soft: expect.any(String) });
      expect(await own.read([TWO])).toEqual([two]);
    });

    it("reports nothing for a position of another issuer", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      await own.pin([ONE]);
      expect(await own.unchangedSince("of-an-issuer-that-was-lost.0", [ONE, TWO])).toEqual([undefined, undefined]);
    });

    it("takes peculiar tags, and no two share a version", async () => {
      const [own] = (await open()) ?? [];
      if (own === undefined) return;
      for (const tag of PECULIAR_TAGS) await own.renew([tag], "hard");
      const versions = await own.read(PECULIAR_TAGS);
      expect(new Set(versions.map((version) => version!.hard)).size).toBe(PECULIAR_TAGS.length);
      expect((await own.pin(PECULIAR_TAGS)).versions).toEqual(versions);
    });
  });
}

/** Tag keys in the form that the cache uses: `{~<name>}:<namespace>::<tag>`; that of a namespace ends in the colons. */
const NAMESPACE = "{~shop}:users::";
const ONE = "{~shop}:users::one";
const TWO = "{~shop}:users::two";
const THREE = "{~shop}:users::three";

const PECULIAR_TAGS: readonly string[] = [
  "user:42",
  "user:42 ",
  "USER:42",
  "user::42",
  "%",
  "100%",
  "*",
  "{a}",
  "{",
  "}",
  "a|b",
  "a.b",
  "a\r\nb",
  "a\0b",
  "é",
  "e\u0301",
  "\u{1f98a}",
  "__proto__",
  "#a",
  "t".repeat(5_000),
].map((tag) => NAMESPACE + tag);
