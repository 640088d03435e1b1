/** Loads that fail: which callers get a value in place of the error, and which load again. */
import type { LoadContext, Policy, Served } from "@hotset/core";
import { flush } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { open, STACKS } from "../support/stacks.ts";

class HttpError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}
const failsWith = (status: number) => (): never => {
  throw new HttpError(status);
};
const down = failsWith(503);
/** Errors of the server are covered, those that speak of the caller are not. */
const coversError = (error: unknown): boolean => !(error instanceof HttpError && error.status < 500);

describe.each(STACKS)("over %s", (stack) => {
  /** A cache with a value that is fresh, or within `staleIfError`. */
  const opened = async (state: "fresh" | "stale", policy: Policy = {}) => {
    const { cache, clock } = open(stack, { ttl: 1_000, staleIfError: "1h", ...policy });
    await cache.set("k", "old", { etag: '"1"' });
    if (state === "stale") clock.advance(1_000);
    return { cache, clock };
  };

  describe.each(["fresh", "stale"] as const)("and a value that is %s", (state) => {
    it("a forced load that fails gives it, each time, and its loader knows it", async () => {
      const { cache } = await opened(state);
      const known: unknown[] = [];
      const fails = ({ stale }: LoadContext): never => {
        known.push([stale?.value, stale?.etag]);
        throw new HttpError(503);
      };
      const served: Served[] = [];
      const onServed = (each: Served): void => void served.push(each);
      for (let i = 0; i < 3; i += 1)
        expect(await cache.getOrSet("k", fails, { forceRefresh: true, onServed })).toBe("old");
      expect(known).toEqual(Array.from({ length: 3 }, () => ["old", '"1"']));
      expect(served.map(({ status, cause, error }) => [status, cause, (error as Error).message])).toEqual(
        Array.from({ length: 3 }, () => ["stale", "error", "status 503"]),
      );
    });

    it("a forced call with staleIfError 0 gets the error, also where it is that of the namespace", async () => {
      const { cache } = await opened(state);
      await expect(cache.getOrSet("k", down, { forceRefresh: true, staleIfError: 0 })).rejects.toThrow("status 503");
      const { cache: strict } = await opened(state, { staleIfError: 0, staleWhileRevalidate: "1h" });
      await expect(strict.getOrSet("k", down, { forceRefresh: true })).rejects.toThrow("status 503");
      expect(await cache.get("k", { allowStale: true })).toBe("old");
    });

    it("coversError decides for which errors the value is served", async () => {
      const { cache } = await opened(state, { coversError });
      for (const status of [403, 404])
        await expect(cache.getOrSet("k", failsWith(status), { forceRefresh: true })).rejects.toThrow(`${status}`);
      expect(await cache.getOrSet("k", down, { forceRefresh: true })).toBe("old");
      // The nearest place that sets it wins.
      expect(await cache.getOrSet("k", failsWith(403), { forceRefresh: true, coversError: () => true })).toBe("old");
    });

    it("a loader narrows what is covered, and does not widen it", async () => {
      const { cache } = await opened(state, { coversError });
      const fails =
        (status: number, covers: (error: unknown) => boolean) =>
        (ctx: LoadContext): never => {
          ctx.setOptions({ coversError: covers });
          throw new HttpError(status);
        };
      await expect(
        cache.getOrSet(
          "k",
          fails(503, () => false),
          { forceRefresh: true },
        ),
      ).rejects.toThrow("503");
      await expect(
        cache.getOrSet(
          "k",
          fails(403, () => true),
          { forceRefresh: true },
        ),
      ).rejects.toThrow("403");
    });
  });

  it("during the backoff each call is asked about the error: it is served, or loads", async () => {
    const { cache, clock } = await opened("stale", { coversError });
    await expect(cache.getOrSet("k", failsWith(404))).rejects.toThrow("404");
    // Not held back: the next caller sees the error of a load of its own.
    await expect(cache.getOrSet("k", failsWith(403))).rejects.toThrow("403");
    expect(await cache.getOrSet("k", down)).toBe("old");
    expect(await cache.getOrSet("k", failsWith(403))).toBe("old");
    expect(await cache.getOrSet("k", () => "new", { coversError: () => false })).toBe("new");
    clock.advance(1);
    expect(await cache.getOrSet("k", down)).toBe("new");
  });

  describe("C613 an error that coversError refuses, while a stale value may be revalidated", () => {
    const SWR: Policy = { ttl: 1_000, staleWhileRevalidate: "1h", errorBackoff: 300, coversError };

    it.each([0, "1h"] as const)(
      "reaches the next caller and all that follow: staleIfError %s",
      async (staleIfError) => {
        const { cache, clock } = await opened("stale", { ...SWR, staleIfError });
        expect(await cache.getOrSet("k", failsWith(404))).toBe("old");
        await flush();
        for (let i = 0; i < 6; i += 1) {
          await expect(cache.getOrSet("k", failsWith(404))).rejects.toThrow("404");
          clock.advance(100);
        }
        expect(await cache.getOrSet("k", () => "new")).toBe("new");
        clock.advance(1_000);
        expect(await cache.getOrSet("k", failsWith(404))).toBe("new");
      },
    );

    it("does so as the loader says; one that is covered is reported with the value", async () => {
      const { cache, clock } = await opened("stale", { ...SWR, coversError: () => true });
      const served: Served[] = [];
      const onServed = (each: Served): void => void served.push(each);
      for (let i = 0; i < 2; i += 1) {
        expect(await cache.getOrSet("k", down, { onServed })).toBe("old");
        await flush();
      }
      expect(served.map(({ cause, error }) => [cause, (error as Error | undefined)?.message])).toEqual([
        ["revalidating", undefined],
        ["error", "status 503"],
      ]);
      clock.advance(300);
      const gone = (ctx: LoadContext): never => {
        ctx.setOptions({ coversError: () => false });
        throw new HttpError(410);
      };
      expect(await cache.getOrSet("k", gone)).toBe("old");
      await flush();
      await expect(cache.getOrSet("k", gone)).rejects.toThrow("410");
      expect(await cache.get("k", { allowStale: true })).toBe("old");
    });

    it("concerns no caller that accepts it, and no newer value", async () => {
      const { cache, clock } = await opened("stale", SWR);
      expect(await cache.getOrSet("k", failsWith(404))).toBe("old");
      await flush();
      expect(await cache.getOrSet("k", failsWith(404), { coversError: () => true })).toBe("old");
      await cache.set("k", "newer");
      clock.advance(1_000);
      expect(await cache.getOrSet("k", failsWith(404))).toBe("newer");
    });
  });

  it("without rememberErrors each call of a source that fails loads", async () => {
    const { cache } = open(stack, {});
    let loads = 0;
    for (let i = 0; i < 3; i += 1)
      await expect(cache.getOrSet("k", () => ((loads += 1), down()))).rejects.toThrow("503");
    expect(loads).toBe(3);
  });

  it("with rememberErrors callers get the same error for errorBackoff, without a load", async () => {
    const { cache, clock } = open(stack, { rememberErrors: true, errorBackoff: 1_000 });
    let loads = 0;
    const load = (): never => {
      loads += 1;
      throw new HttpError(500 + loads);
    };
    const first = await cache.getOrSet("k", load).catch((error: unknown) => error);
    for (let i = 0; i < 3; i += 1) expect(await cache.getOrSet("k", load).catch((error: unknown) => error)).toBe(first);
    expect(await cache.getOrSet("other", () => 1)).toBe(1);
    clock.advance(999);
    await expect(cache.getOrSet("k", load)).rejects.toBe(first);
    clock.advance(1);
    await expect(cache.getOrSet("k", load)).rejects.toThrow("status 502");
    expect(loads).toBe(2);
  });

  it("a forced call, a call that wants none of it, and a write end it", async () => {
    const { cache } = open(stack, { rememberErrors: true });
    const fail = (): Promise<void> => expect(cache.getOrSet("k", down)).rejects.toThrow("503");
    await fail();
    expect(await cache.getOrSet("k", () => "own", { rememberErrors: false })).toBe("own");
    await cache.delete("k");
    await fail();
    expect(await cache.getOrSet("k", () => "forced", { forceRefresh: true })).toBe("forced");
    await cache.delete("k");
    await fail();
    await cache.delete("k");
    expect(await cache.getOrSet("k", () => "again")).toBe("again");
  });
});
