/** Loads one value through memory and Redis, and says whether it had to: `loads 1`, then `loads 0`. */
export function newcomerProgram(kind: "esm" | "cjs"): string {
  const names = "{ createCache, memory, redis }";
  return `${kind === "esm" ? `import ${names} from "hotset"` : `const ${names} = require("hotset")`};

async function main() {
  const cache = createCache({ name: "newcomer" })
    .tier(memory())
    .tier(redis(process.env.REDIS_URL).keyPrefix(process.env.KEY_PREFIX.replace(/\\W/g, "")).build())
    .build();
  let loads = 0;
  const load = () => {
    loads += 1;
    return { at: new Date(0), total: 12n, lines: new Map([["kettle", 2]]) };
  };
  for (let call = 0; call < 2; call += 1) {
    const order = await cache.getOrSet("order", load);
    if (order.at.getTime() !== 0 || order.total !== 12n || order.lines.get("kettle") !== 2) throw new Error("changed");
  }
  await cache.close();
  console.log("loads " + loads);
}

main();
`;
}

export interface Bundle {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  /** Parameters of Node that make the bundle. */
  readonly build: readonly string[];
  readonly output: string;
}

/** @param tools the folder in whose node_modules the bundlers are. */
export function bundles(tools: string): readonly Bundle[] {
  const esbuild = (options: object): string =>
    `import("${tools}/node_modules/esbuild/lib/main.js").then(({ build }) => build(${JSON.stringify({
      entryPoints: ["main.mjs"],
      bundle: true,
      platform: "node",
      logLevel: "warning",
      ...options,
    })})).catch(() => process.exit(1));`;
  const banner = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
  const webpack = `require("${tools}/node_modules/webpack")({
    mode: "production", target: "node", entry: "./main.mjs", output: { path: __dirname, filename: "webpack.cjs", asyncChunks: false },
  }, (error, stats) => { if (error || stats.hasErrors()) { console.error(error ?? stats.toString()); process.exit(1); } });`;
  const rolldown = `import("${tools}/node_modules/rolldown/dist/index.mjs").then(({ build }) =>
    build({ input: "main.mjs", platform: "node", output: { file: "rolldown.mjs", format: "esm", codeSplitting: false } }));`;
  const make = (name: string, script: string, output: string): Bundle => ({
    name,
    files: { "main.mjs": newcomerProgram("esm"), "build.cjs": script },
    build: ["build.cjs"],
    output,
  });
  return [
    make("esbuild, CommonJS", esbuild({ format: "cjs", outfile: "esbuild.cjs" }), "esbuild.cjs"),
    make("esbuild, ESM", esbuild({ format: "esm", outfile: "esbuild.mjs", banner: { js: banner } }), "esbuild.mjs"),
    make("esbuild, minified", esbuild({ format: "cjs", outfile: "small.cjs", minify: true }), "small.cjs"),
    make("rolldown", rolldown, "rolldown.mjs"),
    make("webpack", webpack, "webpack.cjs"),
  ];
}

export interface RunnerTest {
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;
  /** Parameters of Node that run the tests. */
  readonly command: readonly string[];
}

const BODY = `
  const clock = new TestClock();
  const cache = createTestCache({ clock, ttl: "1m", staleIfError: "1h" });
  await cache.set("user", "Ada");
  clock.advance("2m");
  const user = await cache.getOrSet("user", () => Promise.reject(new Error("down")));
  await cache.close();`;

const TIMERS = `const { createCache, memory } = require("hotset");
const { flush } = require("hotset/testing");
test("fake timers move a cache", async () => {
  jest.useFakeTimers();
  const cache = createCache({ name: "timers" }).tier(memory()).defaults({ ttl: "1m" }).build();
  await cache.set("key", "Ada");
  jest.advanceTimersByTime(59_999);
  expect(await cache.get("key")).toBe("Ada");
  jest.advanceTimersByTime(2);
  await flush();
  expect(await cache.get("key")).toBe(undefined);
});
`;

const SUITE = `import { json } from "hotset";
import { describeFormat } from "hotset/contract-suites";
describeFormat("json", { open: () => json(), keeps: [] });
`;

const NODE_TEST = 'const assert = require("node:assert");\nconst { it } = require("node:test");\n';

export function runnerTests(): readonly RunnerTest[] {
  const kit = 'import { createTestCache, TestClock } from "hotset/testing";\n';
  const required = 'const { createTestCache, TestClock } = require("hotset/testing");\n';
  const vitest = (version: string): RunnerTest => ({
    name: `vitest ${version}`,
    dependencies: { vitest: version },
    files: {
      "kit.test.js": `${kit}import { expect, it } from "vitest";\nit("works", async () => {${BODY}\n  expect(user).toBe("Ada");\n});\n`,
      "suite.test.js": SUITE,
    },
    command: ["node_modules/vitest/vitest.mjs", "run"],
  });
  return [
    {
      name: "node:test",
      dependencies: {},
      files: {
        "kit.test.js": `${kit}import assert from "node:assert";\nimport { it } from "node:test";\nit("works", async () => {${BODY}\n  assert.equal(user, "Ada");\n});\n`,
        "kit.test.cjs": `${required}${NODE_TEST}it("works", async () => {${BODY}\n  assert.equal(user, "Ada");\n});\n`,
      },
      command: ["--test"],
    },
    vitest("3"),
    vitest("4"),
    {
      name: "jest",
      dependencies: { jest: "30" },
      files: {
        "kit.test.js": `${kit}test("works", async () => {${BODY}\n  expect(user).toBe("Ada");\n});\n`,
        // Node 24.9 or later.
        "kit.test.cjs": `${required}test("works", async () => {${BODY}\n  expect(user).toBe("Ada");\n});\n`,
      },
      command: ["--experimental-vm-modules", "node_modules/jest/bin/jest.js"],
    },
    {
      name: "jest, CommonJS by @swc/jest",
      dependencies: { jest: "30", "@swc/jest": "0.2", "@swc/core": "1" },
      files: {
        // docs/guide/testing.md, "Jest".
        "jest.config.json": String.raw`{
          "transform": { "\\.[cm]?[jt]s$": "@swc/jest" },
          "transformIgnorePatterns": ["/node_modules/(?!.*hotset/)"]
        }`,
        "kit.test.cjs": `${required}test("works", async () => {${BODY}\n  expect(user).toBe("Ada");\n});\n`,
        "timers.test.cjs": TIMERS,
      },
      command: ["node_modules/jest/bin/jest.js"],
    },
  ];
}
