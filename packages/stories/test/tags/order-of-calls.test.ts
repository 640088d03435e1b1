/** Calls of one process stand in the order in which they were made, also if none was awaited. */
import type { Namespace } from "@hotset/core";
import { createTestCache, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { open, STACKS, STACKS_WITH_BACKEND, type OpenOptions, type Stack } from "../support/stacks.ts";

/** Calls after which a value that was set before them is not served as fresh. */
const CALLS: readonly (readonly [string, (users: Namespace, root: Namespace) => Promise<unknown>])[] = [
  ["clear", (users) => users.clear()],
  ["clear of the namespace above", (_, root) => root.clear()],
  ["invalidateTags", (users) => users.invalidateTags("t")],
  ["invalidateTags above", (_, root) => root.invalidateTags("t")],
  ["markTagsStale", (users) => users.markTagsStale("t")],
];

const tagged = { tags: ["t"] };

/** A namespace, its cache, and the same namespace in another process. */
function opened(stack: Stack, options: OpenOptions = {}) {
  const { cache, backend, clock } = open(stack, { ttl: "1h", ...options });
  const other = createTestCache({ clock, local: false, backend: backend.peer(), ttl: "1h" });
  return { root: cache, users: cache.namespace("users"), elsewhere: other.namespace("users"), backend };
}

describe.each(STACKS)("over %s", (stack) => {
  it.each(CALLS)("a set does not outlive a %s that was called after it", async (_, call) => {
    for (const tagVersions of [true, false]) {
      const { users, root, elsewhere } = opened(stack, { backend: { tagVersions, leases: tagVersions } });
      // Without versions that were seen before, and with them.
      for (const key of ["first", "second"]) {
        await Promise.all([users.set(key, "old", tagged), call(users, root)]);
        expect([await users.get(key), await elsewhere.get(key)]).toEqual([undefined, undefined]);
      }
    }
  });

  it("a set stands that was called after a clear, and so do all keys of a setMany", async () => {
    const { users } = opened(stack, { memory: { maxEntries: 2_000 } });
    const keys = Array.from({ length: 1_001 }, (_, i) => `k${i}`);
    const [, set, many] = await Promise.all([
      users.clear(),
      users.set("k", "new", tagged),
      users.setMany(
        keys.map((key) => [key, "new"] as const),
        tagged,
      ),
    ]);
    expect([set.status, many.stored]).toEqual(["stored", 1_001]);
    expect([await users.get("k"), (await users.getMany(keys)).size]).toEqual(["new", 1_001]);
  });
});

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  it("a setMany leaves no older value, also where too many tags are invalidated", async () => {
    const { users, root, elsewhere } = opened(stack, { memory: { maxEntries: 2_000 } });
    const keys = Array.from({ length: 1_001 }, (_, i) => `k${i}`);
    await users.set("k1000", "older");
    const many = users.setMany(keys.map((key) => [key, "new"] as const));
    await Promise.all(Array.from({ length: 11_000 }, (_, i) => root.invalidateTags(`tag ${i}`)));
    expect((await many).stored).toBe(1_001);
    for (const read of [users, elsewhere]) expect(await read.get("k1000")).not.toBe("older");
  });

  it.each(CALLS)("nor if it waited for an earlier write until after the %s", async (_, call) => {
    const { users, root, elsewhere, backend } = opened(stack);
    const first = gate();
    backend.script("write", { before: first });
    const writes = [users.set("k", "older", tagged), users.set("k", "old", tagged)];
    await first.arrived();
    await call(users, root);
    // Another write learns the versions of today.
    await users.set("other", "new", tagged);
    first.open();
    await Promise.all(writes);
    expect([await users.get("k"), await elsewhere.get("k")]).toEqual([undefined, undefined]);
  });

  it.each(CALLS)("nor if the %s comes while it asks for versions", async (_, call) => {
    const { users, root, elsewhere, backend } = opened(stack, { backend: { tagVersions: true } });
    const pinning = gate();
    backend.script("tags.pin", { before: pinning });
    const write = users.set("k", "old", tagged);
    await pinning.arrived();
    await call(users, root);
    pinning.open();
    expect(await write).toMatchObject({ status: "stored" });
    expect([await users.get("k"), await elsewhere.get("k")]).toEqual([undefined, undefined]);
  });
});
