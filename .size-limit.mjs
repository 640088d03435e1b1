// Somewhat above the sizes of November 2026, 39.5 and 30.8 kB; 0.5 kB of them are messages in plain words. Modules of
// Node count nothing. docs/decisions/0027-one-file-for-each-entry.md: how a package becomes one file.
const core = {
  path: "packages/core/dist/index.js",
  gzip: true,
  modifyRolldownConfig: (config) => ({ ...config, platform: "node" }),
};

export default [
  { ...core, name: "@hotset/core", limit: "39.9 kB" },
  { ...core, name: "@hotset/core, createCache alone", import: "{ createCache }", limit: "31.1 kB" },
];
