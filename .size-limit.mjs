// The sizes that users may notice, with the room of `.ci/budgets/budgets.ts`. Modules of Node count nothing.
// Decision 0027 says how a package becomes one file.
import { BUNDLES, mostSize } from "./.ci/budgets/budgets.ts";

const bundle = (name, path, { external, ...options }) => ({
  name,
  path,
  limit: `${mostSize(BUNDLES[name])} B`,
  gzip: true,
  // What size-limit makes of `ignore` is in `external`.
  modifyRolldownConfig: (config) => ({ ...config, platform: "node", external: external ?? config.external }),
  ...options,
});

/** A program over `hotset`, with everything but the client of Redis, which is loaded with the first connection. */
const program = (name, imports) =>
  bundle(name, "packages/hotset/dist/index.js", { import: imports, ignore: ["@redis/client", "zstd-napi"] });

export default [
  program("memory", "{ createCache, memory }"),
  program("memory over Redis", "{ createCache, memory, redis }"),
  // The page is inside, as text.
  bundle("the inspector with its page", "packages/inspector/dist/index.js", { external: (id) => !/^[./]/.test(id) }),
];
