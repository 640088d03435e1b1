import { createHook } from "node:async_hooks";
import { createTestCache } from "@hotset/testing";
import { expect, it } from "vitest";
import { defineBackend } from "../cache/define-backend.ts";
import type { StoredEntry } from "../contracts/backend.ts";
import type { Backend } from "../contracts/capabilities.ts";
import { json } from "../formats/json.ts";
import { passthrough } from "../formats/passthrough.ts";

/** A backend that has every key, and whose batch makes one promise. */
function fullBackend(): Backend {
  const entry: StoredEntry = { data: json().encode("v"), staleInMs: 60_000, expiresInMs: 60_000, meta: "" };
  return defineBackend({
    label: "full",
    format: json(),
    compressor: passthrough(),
    keepsMeta: false,
    boundsCalls: true,
    read: () => Promise.resolve(entry),
    connect: () => Promise.resolve(),
    close: () => Promise.resolve(),
    write: () => Promise.resolve(),
    remove: () => Promise.resolve("missing"),
    batch: { read: (keys) => Promise.resolve(keys.map(() => entry)) },
  });
}

async function promisesOf(run: () => Promise<unknown>): Promise<number> {
  let promises = 0;
  const hook = createHook({
    init(_, type) {
      if (type === "PROMISE") promises += 1;
    },
  });
  hook.enable();
  await run();
  hook.disable();
  return promises;
}

it("a batch of hits makes no promise for each key: as many for a hundred as for two", async () => {
  const cache = createTestCache({ local: false, backend: fullBackend() });
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
  const found = await cache.getMany(keys);
  expect([found.size, found.get("k99")]).toEqual([100, "v"]);

  const ofTwo = await promisesOf(() => cache.getMany(keys.slice(0, 2)));
  expect(await promisesOf(() => cache.getMany(keys))).toBe(ofTwo);
});
