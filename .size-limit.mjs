// Somewhat above the sizes of November 2026, 41.0 and 32.3 kB; 0.5 kB of them are messages in plain words. Modules of
// Node count nothing. docs/decisions/0027-one-file-for-each-entry.md: how a package becomes one file.
const core = {
  path: "packages/core/dist/index.js",
  gzip: true,
  modifyRolldownConfig: (config) => ({ ...config, platform: "node" }),
};

export default [
  { ...core, name: "@hotset/core", limit: "41.4 kB" },
  { ...core, name: "@hotset/core, createCache alone", import: "{ createCache }", limit: "32.7 kB" },
];
