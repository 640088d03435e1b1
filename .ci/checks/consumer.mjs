// Runs in a folder whose node_modules holds the packed packages: loads each specifier in its arguments by `import` and
// by `require`, then uses the cache.
//
// With `--no-experimental-require-module`, Node has no condition `module-sync`: `require` takes CommonJS, as Jest does.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const isOneInstance = process.features.require_module;

for (const specifier of process.argv.slice(2)) {
  if (specifier.endsWith("/contract-suites")) continue; // runs in Vitest alone
  // Nest 12 is ESM alone.
  if (specifier === "@hotset/nest" && !isOneInstance) continue;
  const imported = await import(specifier);
  const required = require(specifier);
  const names = Object.keys(imported);
  assert.ok(names.length > 0, `${specifier} exports nothing`);
  // What has a default alone is that value for `require`, with a name for itself.
  const isAlone = names.join() === "default" && required.default === required;
  const found = isAlone ? names : Object.keys(required).filter((name) => name !== "__esModule");
  assert.deepEqual(found.toSorted(), names.toSorted(), `${specifier}: require has other names`);
  if (!isOneInstance) continue;
  for (const name of names) assert.equal(required[name], imported[name], `${specifier}: ${name} exists twice`);
}
await use((specifier) => import(specifier));
await use(require);

/** Both entries share one copy of each class: an error thrown by one is an instance for the other. */
async function use(load) {
  const { createCache, memory } = await load("hotset");
  const cache = createCache({ name: "consumer" }).tier(memory()).build();
  let loads = 0;
  const count = () => `loaded ${++loads}`;
  assert.equal(await cache.getOrSet("key", count), "loaded 1");
  assert.equal(await cache.getOrSet("key", count), "loaded 1");
  await cache.close();

  const { CacheError } = await load("@hotset/core");
  const { scriptedBackend, TestClock } = await load("hotset/testing");
  const backend = scriptedBackend({ clock: new TestClock() });
  backend.down();
  await assert.rejects(backend.read("key"), CacheError);
}
