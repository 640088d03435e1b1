// The suites of Keyv 6, of cache-manager 7 and of cacheable 2 over `keyvStore`, from the sources of their authors:
//
//   KEYV_SUITES=FOLDER npm run tool -- keyv-suites
//
// FOLDER has clones of https://github.com/jaredwray/keyv in `keyv` and of https://github.com/jaredwray/cacheable in
// `cacheable`, each at its commit below, and in it was run:
//
//   npm install --ignore-scripts @faker-js/faker@10 bignumber.js@11 json-bigint@1 timekeeper@2 cacheable@2.5.0 \
//     @cacheable/utils@2.5.0 cache-manager-redis-yet@5.1.5 @keyv/redis@5.1.6 keyv@5.6.0 keyv6@npm:keyv@6.1.0 \
//     lru-cache@11 @qified/redis@0.12
//
// A Redis at localhost:6379 is needed by some tests of cache-manager and cacheable, which also use stores of their own.

import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** August 2026, version 6.0.0-rc.1. */
export const KEYV_COMMIT = "90109616a94f6774c172c5f457b2195d5801d508";
/** July 2026, cache-manager 7.2.9 and cacheable 2.5.0. */
export const CACHEABLE_COMMIT = "f50b770ec197a3dd628794a10adb456c1dab0bd7";

const folder = process.env["KEYV_SUITES"] ?? "";
export const KEYV_SUITE = join(folder, "keyv/core/test-suite/src/index.ts");
const here = import.meta.dirname;
const KEYV_OVER_HOTSET = join(here, "keyv-over-hotset.ts");
/** A Keyv without a store gets this one in place of a Map. */
const overHotset = { find: /^keyv$/, replacement: KEYV_OVER_HOTSET };
const CREATE_KEYV = 'import { createKeyv } from "@cacheable/memory"';
const shared = { ssr: { resolve: { conditions: ["@hotset/source"] } }, root: folder };
const missing = "KEYV_SUITES must name the folder of the clones; see packages/keyv/test/suites/vitest.config.ts";
if (folder === "") throw new Error(missing);

export default defineConfig({
  test: {
    projects: [
      {
        ...shared,
        resolve: { conditions: ["@hotset/source"] },
        test: { name: "keyv 6", include: [join(here, "keyv-6.ts")], testTimeout: 20_000 },
      },
      {
        ...shared,
        resolve: {
          conditions: ["@hotset/source"],
          alias: [overHotset],
        },
        test: {
          name: "cache-manager 7",
          include: [join(folder, "cacheable/packages/cache-manager/test/*.test.ts")],
          testTimeout: 20_000,
        },
      },
      {
        ...shared,
        resolve: { conditions: ["@hotset/source"], alias: [overHotset] },
        plugins: [
          {
            name: "primary",
            transform: (code, id) =>
              id.endsWith("cacheable/src/index.ts")
                ? code.replace(CREATE_KEYV, `import { createKeyv } from "${KEYV_OVER_HOTSET}"`)
                : undefined,
          },
        ],
        test: {
          name: "cacheable 2",
          include: [join(folder, "cacheable/packages/cacheable/test/*.test.ts")],
          testTimeout: 20_000,
          // Some wait for a ttl of 10 ms.
          retry: 5,
        },
      },
    ],
  },
});
