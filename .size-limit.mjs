export default [
  {
    name: "@hotset/core",
    path: "packages/core/dist/index.js",
    // 15 KB minified and gzipped; what Node brings costs nothing.
    limit: "15 kB",
    gzip: true,
    modifyRolldownConfig: (config) => ({ ...config, platform: "node" }),
  },
];
