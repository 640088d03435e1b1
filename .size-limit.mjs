// Somewhat above the sizes of November 2026; the last rises are those of decisions 0268 and 0275.
// Modules of Node count nothing. Decision 0027 says how a package becomes one file.
const core = {
  path: "packages/core/dist/index.js",
  gzip: true,
  modifyRolldownConfig: (config) => ({ ...config, platform: "node" }),
};

/**
 * A program over `hotset`, with everything but the client of Redis, which is loaded with the first connection.
 * The order of imports in `packages/redis/src`, by which modules stand in a bundle, decides about 250 bytes of it.
 */
const program = (name, imports, limit) => ({
  name: `a program: ${name}`,
  path: "packages/hotset/dist/index.js",
  import: imports,
  limit,
  gzip: true,
  ignore: ["@redis/client", "zstd-napi"],
  modifyRolldownConfig: (config) => ({ ...config, platform: "node" }),
});

const toolkit = (entry, limit) => ({
  name: `@hotset/redis-toolkit ${entry}`,
  path: `packages/redis-toolkit/dist/${entry}.js`,
  limit,
  gzip: true,
  // Each is installed beside it; the main entry, which makes the views, and the connection are loaded beside it.
  ignore: ["@hotset/core", "@hotset/redis", "@redis/client", "express-session"],
  modifyRolldownConfig: (config) => ({
    ...config,
    platform: "node",
    external: (id) =>
      /^@(?:hotset|redis)\/|^(?:express-session|croner)$/.test(id) ||
      id.startsWith("node:") ||
      /^\.\.?\/(?:index|connection)\.js$/.test(id),
  }),
});

/** The entries beside the main one import nothing but types of it. */
const http = (entry, limit) => ({
  name: `@hotset/http ${entry}`,
  path: `packages/http/dist/${entry}.js`,
  limit,
  gzip: true,
  modifyRolldownConfig: (config) => ({
    ...config,
    platform: "node",
    external: (id) => id.startsWith("@hotset/") || id.startsWith("node:"),
  }),
});

/** Each next to the cache and the framework that it joins. */
const adapter = (name, limit) => ({
  name: `@hotset/${name}`,
  path: `packages/${name}/dist/index.js`,
  limit,
  gzip: true,
  modifyRolldownConfig: (config) => ({ ...config, platform: "node", external: (id) => !/^[./]/.test(id) }),
});

/** Each beside what it observes, and beside the library that it exports to. */
const metrics = (entry, limit) => ({
  name: `@hotset/metrics ${entry}`,
  path: `packages/metrics/dist/${entry}.js`,
  limit,
  gzip: true,
  modifyRolldownConfig: (config) => ({
    ...config,
    platform: "node",
    external: (id) =>
      /^(?:@hotset|@opentelemetry)\/|^prom-client$|^\.\.\/index\.js$/.test(id) || id.startsWith("node:"),
  }),
});

export default [
  { ...core, name: "@hotset/core", limit: "64.4 kB" },
  { ...core, name: "@hotset/core, createCache alone", import: "{ createCache }", limit: "46.5 kB" },
  program("memory", "{ createCache, memory }", "56.7 kB"),
  program("memory over Redis", "{ createCache, memory, redis }", "124.1 kB"),
  program("memory over Redis, sealed", "{ aesGcm, compose, createCache, keyOf, memory, redis, zstd }", "130.4 kB"),
  {
    name: "@hotset/compose",
    path: "packages/compose/dist/index.js",
    limit: "4.3 kB",
    gzip: true,
    modifyRolldownConfig: (config) => ({ ...config, platform: "node", external: (id) => id.startsWith("@hotset/") }),
  },
  {
    name: "@hotset/compose gutter",
    path: "packages/compose/dist/gutter.js",
    limit: "5.5 kB",
    gzip: true,
    modifyRolldownConfig: (config) => ({ ...config, platform: "node", external: (id) => id.startsWith("@hotset/") }),
  },
  {
    name: "@hotset/sqlite",
    path: "packages/sqlite/dist/index.js",
    limit: "7.5 kB",
    gzip: true,
    modifyRolldownConfig: (config) => ({ ...config, platform: "node", external: (id) => id.startsWith("@hotset/") }),
  },
  {
    name: "@hotset/keyv",
    path: "packages/keyv/dist/index.js",
    limit: "2.5 kB",
    gzip: true,
    modifyRolldownConfig: (config) => ({
      ...config,
      platform: "node",
      external: (id) => id.startsWith("@hotset/") || id.startsWith("node:"),
    }),
  },
  adapter("astro", "1.4 kB"),
  adapter("drizzle", "1.6 kB"),
  adapter("graphql", "1.2 kB"),
  adapter("nest", "2.2 kB"),
  adapter("next", "3.4 kB"),
  adapter("unstorage", "0.7 kB"),
  http("index", "25.1 kB"),
  http("fetch", "3 kB"),
  http("node", "4.6 kB"),
  http("undici", "1.6 kB"),
  toolkit("index", "22.5 kB"),
  toolkit("connection", "7 kB"),
  toolkit("health", "4.5 kB"),
  toolkit("leaderboard", "7.5 kB"),
  toolkit("presence", "3 kB"),
  toolkit("counters", "4 kB"),
  toolkit("module", "2.5 kB"),
  toolkit("scripts", "2 kB"),
  toolkit("pubsub", "4 kB"),
  toolkit("sessions", "8.9 kB"),
  toolkit("sessions/express-session", "8.1 kB"),
  toolkit("sessions/fastify", "2.5 kB"),
  toolkit("sessions/hono", "2.4 kB"),
  toolkit("rate-limit", "12 kB"),
  // croner is loaded with the first schedule of cron.
  toolkit("queue", "16.6 kB"),
  toolkit("streams", "10.8 kB"),
  toolkit("lock", "8.1 kB"),
  {
    // pg is installed next to it, and loaded with the first connection.
    name: "@hotset/postgres",
    path: "packages/postgres/dist/index.js",
    limit: "13.2 kB",
    gzip: true,
    modifyRolldownConfig: (config) => ({
      ...config,
      platform: "node",
      external: (id) => id === "pg" || id.startsWith("@hotset/") || id.startsWith("node:"),
    }),
  },
  adapter("postgres-follow", "8.4 kB"),
  metrics("index", "6 kB"),
  metrics("prometheus/index", "1.1 kB"),
  metrics("otel/index", "2.6 kB"),
  // The page is inside, as text: 20 kB of it.
  adapter("inspector", "43.8 kB"),
  // Its dependencies are installed next to it; it runs on the machines of people. The command `capacity` takes 2.3 kB.
  {
    name: "@hotset/cli",
    path: "packages/cli/dist/index.js",
    limit: "34.5 kB",
    gzip: true,
    modifyRolldownConfig: (config) => ({
      ...config,
      platform: "node",
      external: (id) => /^(?:@hotset\/|hotset$|pg$)/.test(id) || id.startsWith("node:"),
    }),
  },
];
