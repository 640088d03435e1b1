// The sizes of docs/decisions/0027-one-file-for-each-entry.md, and 5 % more. Modules of Node count nothing.
const core = {
  path: "packages/core/dist/index.js",
  gzip: true,
  modifyRolldownConfig: (config) => ({ ...config, platform: "node" }),
};

export default [
  { ...core, name: "@hotset/core", limit: "39.1 kB" },
  { ...core, name: "@hotset/core, createCache alone", import: "{ createCache }", limit: "30.5 kB" },
];
