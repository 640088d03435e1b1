// Runs in a folder whose node_modules holds the packed packages: imports each specifier in its arguments, then uses the
// cache.

import assert from "node:assert/strict";

for (const specifier of process.argv.slice(2)) {
  if (specifier.endsWith("/contract-suites")) continue; // runs in Vitest alone
  const names = Object.keys(await import(specifier));
  assert.ok(names.length > 0, `${specifier} exports nothing`);
}

const { createCache, memory } = await import("hotset");
const cache = createCache({ name: "consumer" }).tier(memory()).build();
let loads = 0;
const load = () => `loaded ${++loads}`;
assert.equal(await cache.getOrSet("key", load), "loaded 1");
assert.equal(await cache.getOrSet("key", load), "loaded 1");
await cache.close();

// Both entries of core share one copy of each class: an error thrown by one is an instance for the other.
const { CacheError } = await import("@hotset/core");
const { scriptedBackend, TestClock } = await import("hotset/testing");
const backend = scriptedBackend({ clock: new TestClock() });
backend.down();
await assert.rejects(backend.read("key"), CacheError);
