/** A backend that is built on another copy of @hotset/core than the cache: one of the two is part of a bundle, say. */
import { BackendUnavailableError, DecodeError } from "@hotset/core";
import { createTestCache, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it, vi } from "vitest";

/** Another copy of the package, whose classes are not those of this one. */
async function secondCopy(): Promise<typeof import("@hotset/core")> {
  vi.resetModules();
  const copy = await import("@hotset/core");
  expect(copy.BackendUnavailableError).not.toBe(BackendUnavailableError);
  return copy;
}

/** A cache whose backend rejects every call with `error`. */
function over(error: Error) {
  const backend = scriptedBackend({ clock: new TestClock(), leases: true, tagVersions: true });
  const cache = createTestCache({ backend });
  backend.down(error);
  return { backend, cache };
}

const details = { tier: "theirs", operation: "read", retryable: false, maybeExecuted: false };

describe("the errors of a backend that is built on a second copy of the package", () => {
  it("open the breaker, as those of the same copy do", async () => {
    const copy = await secondCopy();
    const [same, other] = [BackendUnavailableError, copy.BackendUnavailableError].map((Unavailable) =>
      over(new Unavailable("gone")),
    );
    for (const { cache } of [same!, other!])
      for (let i = 0; i < 20; i += 1) expect(await cache.getOrSet(`k${i}`, () => i)).toBe(i);
    expect(other!.backend.calls).toEqual(same!.backend.calls);
    expect(other!.cache.stats().tiers.at(-1)!.state).toBe("down");
  });

  it("are reported as errors of this copy, with all that they say", async () => {
    const copy = await secondCopy();
    const cause = new copy.BackendUnavailableError("gone", details);
    const { cache } = over(cause);
    const errors: unknown[] = [];
    cache.on("backend:error", ({ error }) => errors.push(error));
    expect(await outcome(cache.connect())).toMatchObject({ status: "rejected", reason: { ...details, cause } });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toBeInstanceOf(BackendUnavailableError);
  });

  it("of undecodable bytes are a miss, which the next load overwrites", async () => {
    const copy = await secondCopy();
    const { cache, backend } = over(new Error("not thrown"));
    backend.up();
    backend.script("read", { fail: new copy.DecodeError("no entry") });
    const errors: unknown[] = [];
    cache.on("decode:error", ({ error }) => errors.push(error));
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    expect(errors[0]).toBeInstanceOf(DecodeError);
    expect(backend.store.get("test::k")).not.toBe(undefined);
  });
});
