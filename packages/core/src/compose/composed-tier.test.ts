import { describe, expect, it } from "vitest";
import { compose, entryTier } from "./compose.ts";
import { createEvents } from "../primitives/event-port.ts";
import { entryKey, rootKeySpace } from "../entry/key.ts";
import type { ReadRequest } from "../tiers/entry-tier.ts";
import { gate } from "../testing/gate.ts";
import { flush, outcome } from "../testing/outcome.ts";
import { scriptedBackend } from "../testing/scripted-backend.ts";
import { TestClock } from "../testing/test-clock.ts";

const keySpace = rootKeySpace("shop");
const request: ReadRequest = { key: entryKey(keySpace, "k"), schema: undefined, expectedTags: [], tagSequence: 0 };

function open(read: "sequential" | "race" | "freshest") {
  const clock = new TestClock();
  const near = scriptedBackend({ clock, label: "near", deadlineMs: 200 });
  const far = scriptedBackend({ clock, label: "far", deadlineMs: 1_000, leases: true });
  return {
    clock,
    near,
    far,
    tier: entryTier(compose(near, far, { read, nearTtl: "1m" }), {
      clock,
      events: createEvents(),
      cache: "shop",
      root: keySpace,
      table: undefined,
      aliases: new Map(),
      used: () => undefined,
    }),
  };
}

describe("ComposedTier.read", () => {
  it.each(["sequential", "race", "freshest"] as const)(
    "%s: rejects when both fail, with both causes (C122)",
    async (read) => {
      const { near, far, tier } = open(read);
      const causes = [new RangeError("near"), new RangeError("far")];
      near.script("read", { fail: causes[0]!, key: "shop::k" });
      far.script("read", { fail: causes[1]!, key: "shop::k" });
      const error = (await tier.read(request, tier.deadlineMs).catch((reason: unknown) => reason)) as Error;
      expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", tier: "near+far", operation: "read" });
      expect((error.cause as AggregateError).errors.map(({ cause }: Error) => cause)).toEqual(causes);
    },
  );

  it("sequential: both together take no longer than the budget (C122)", async () => {
    const { clock, near, far, tier } = open("sequential");
    expect(tier.deadlineMs).toBe(1_200);
    for (const backend of [near, far]) backend.script("read", { before: gate(), key: "shop::k" });
    const read = tier.read(request, 500);
    for (const ms of [200, 299]) {
      await flush();
      clock.advance(ms);
    }
    expect(await outcome(read)).toEqual({ status: "pending" });
    clock.advance(1);
    await expect(read).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  });
});

it("C392: a ComposedTier has answered the calls of both its sides, those for leases included", async () => {
  const { near, far, tier } = open("sequential");
  const answeredIn = async (work: () => Promise<unknown>): Promise<number> => {
    const before = tier.answered;
    await work();
    return tier.answered - before;
  };
  expect(await answeredIn(() => tier.remove(request.key))).toBe(2);
  expect([near.count("remove"), far.count("remove")]).toEqual([1, 1]);
  expect(await answeredIn(() => tier.leases!.acquire(request, "token", ""))).toBe(1);
});
