import type { Awaitable, Backend } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { KEY, stored, type BackendSubject } from "./backend-subject.ts";

/**
 * The part of `describeBackend` about space: a store that is written to does not keep what has ended.
 *
 * @param count how many entries the store holds, those whose life has ended included.
 */
export function describeReclaiming(subject: BackendSubject, count: (backend: Backend) => Awaitable<number>): void {
  const write = async (name: string, times: { readonly staleInMs: number; readonly expiresInMs: number }) => {
    for (let i = 0; i < WRITES; i += 1) await subject.backend.write(`${KEY}${name}${i}`, stored(times));
  };

  describe("reclaims space:", () => {
    it("of entries whose life has ended, while others are written", async () => {
      await write("ended", { staleInMs: 1_000, expiresInMs: 1_000 });
      await subject.pass(1_000);
      await write("living", { staleInMs: 60_000, expiresInMs: 90_000 });
      expect(await count(subject.backend)).toBeLessThan(1.5 * WRITES);
    });

    it("and of no other entry", async () => {
      await write("living", { staleInMs: -1_000, expiresInMs: 90_000 });
      await write("endless", { staleInMs: Infinity, expiresInMs: Infinity });
      expect(await count(subject.backend)).toBe(2 * WRITES);
      for (const key of [`${KEY}living0`, `${KEY}endless0`]) expect(await subject.backend.read(key)).toBeDefined();
    });
  });
}

const WRITES = 400;
