// Importers of hotset: test runners that compile to CommonJS or run ES modules, and each TypeScript by each way to find
// a module. Packed packages, installed by npm (declarations also by pnpm) in projects outside the repository.

import { readFileSync } from "node:fs";
import type { Newcomer } from "./newcomer.ts";
import { latest } from "./project.ts";

interface Runner {
  readonly name: string;
  readonly versions: string;
  readonly as: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;
  /** Parameters of Node that run the tests. */
  readonly command: readonly string[];
}

const KINDS = { esm: "ES modules", cjs: "CommonJS", both: "ES modules, CommonJS" };

/** A test of memory over a real Redis and of the testing kit. @param test its head, which may get `assert`. */
const kit = (kind: "esm" | "cjs", head: string, test = 'test("works", async () => {'): string => {
  const load = (names: string, from: string): string =>
    kind === "esm" ? `import { ${names} } from "${from}";\n` : `const { ${names} } = require("${from}");\n`;
  return `${load("createCache, memory, redis", "hotset")}${load("createTestCache, TestClock", "hotset/testing")}${
    kind === "esm" ? 'import assert from "node:assert";\n' : 'const assert = require("node:assert");\n'
  }${head}${test}
  const clock = new TestClock();
  const tested = createTestCache({ clock, ttl: "1m", staleIfError: "1h" });
  await tested.set("user", "Ada");
  clock.advance("2m");
  assert.equal(await tested.getOrSet("user", () => Promise.reject(new Error("down"))), "Ada"), await tested.close();
  const open = () =>
    createCache({ name: "importers" }).tier(memory()).tier(redis(process.env.REDIS_URL ?? "").build()).build();
  const [some, other] = [open(), open()]; await some.set("total", 12n);
  assert.equal(await other.getOrSet("total", () => 0n), 12n);
  await some.close(), await other.close();
});
`;
};

const TIMERS = `import { createCache, memory } from "hotset";
test("fake timers move a cache", async () => {
  jest.useFakeTimers(); const cache = createCache({ name: "timers" }).tier(memory()).defaults({ ttl: "1m" }).build();
  await cache.set("key", "Ada"), jest.advanceTimersByTime(59_999);
  expect(await cache.get("key")).toBe("Ada"), jest.advanceTimersByTime(2);
  expect(await cache.get("key")).toBe(undefined);
  jest.useRealTimers();
});
`;

const NEST = `import "reflect-metadata"; import { Test } from "@nestjs/testing";
import { Inject, Injectable, Module } from "@nestjs/common"; import { createCache, memory, type Cache } from "hotset";
@Injectable()
class Users { constructor(@Inject("CACHE") private readonly cache: Cache) {}
  find = (id: number): Promise<string> => this.cache.getOrSet(\`user:\${id}\`, () => "Ada");
}
@Module({
  providers: [Users, { provide: "CACHE", useFactory: () => createCache({ name: "nest" }).tier(memory()).build() }],
})
class App {}
test("a provider has a cache", async () => {
  const app = await Test.createTestingModule({ imports: [App] }).compile();
  expect(await app.get(Users).find(1)).toBe("Ada"), await app.close();
});
`;

const SUITE = `import { json } from "hotset";
import { describeFormat } from "hotset/contract-suites"; describeFormat("json", { open: () => json(), keeps: [] });
`;

/** A program in CommonJS: decorators, and modules found as before `exports`. */
const TSCONFIG = {
  compilerOptions: {
    ...{ target: "es2022", module: "commonjs", moduleResolution: "node", strict: true, esModuleInterop: true },
    ...{ experimentalDecorators: true, emitDecoratorMetadata: true, skipLibCheck: true, types: ["jest", "node"] },
  },
};
const SWC = {
  jsc: {
    parser: { syntax: "typescript", decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    target: "es2022",
  },
};
const BABEL = { presets: [["@babel/preset-env", { targets: { node: "current" } }], "@babel/preset-typescript"] };

function jest(version: string, nest: string): readonly Runner[] {
  const project = {
    dependencies: {
      ...{ jest: version, "@types/jest": version, "@types/node": "22", "ts-jest": "29.4", typescript: "5.9" },
      ...{ "@swc/jest": "0.2", "@swc/core": "1", "babel-jest": version, "@babel/core": "7", "reflect-metadata": "0.2" },
      ...{ "@babel/preset-env": "7", "@babel/preset-typescript": "7", rxjs: "7" },
      ...{ "@nestjs/common": nest, "@nestjs/core": nest, "@nestjs/testing": nest },
    },
    files: {
      "kit.test.ts": kit("esm", ""),
      "timers.test.ts": TIMERS,
      "nest.test.ts": NEST,
      "tsconfig.json": JSON.stringify(TSCONFIG),
    },
  };
  const by = (name: string, transform: unknown, isNest = false): Runner => ({
    ...project,
    name: isNest ? `Jest, ${name}, decorators of Nest` : `Jest, ${name}`,
    versions: isNest ? `Jest ${version}, Nest ${nest}` : `Jest ${version}`,
    as: KINDS.cjs,
    command: [
      ...["node_modules/jest/bin/jest.js", "--detectOpenHandles", "--config"],
      JSON.stringify({
        transform: { [String.raw`^.+\.ts$`]: transform },
        testMatch: isNest ? ["**/nest.test.ts"] : ["**/kit.test.ts", "**/timers.test.ts"],
      }),
    ],
  });
  return [
    by("ts-jest", "ts-jest"),
    by("@swc/jest", ["@swc/jest", SWC]),
    by("babel-jest", ["babel-jest", BABEL]),
    by("ts-jest", "ts-jest", true),
    by("@swc/jest", ["@swc/jest", SWC], true),
  ];
}

const NODE_TEST: Runner = {
  ...{ name: "node:test", versions: "Node 22 and later", as: KINDS.both, dependencies: {}, command: ["--test"] },
  files: {
    "kit.test.mjs": kit("esm", 'import { test } from "node:test";\n'),
    "kit.test.cjs": kit("cjs", 'const { test } = require("node:test");\n'),
  },
};

const RUNNERS: readonly Runner[] = [
  ...jest("29", "10"),
  ...jest("30", "11"),
  {
    ...{ name: "Jest, `--experimental-vm-modules`", versions: "Jest 30", as: KINDS.esm, dependencies: { jest: "30" } },
    files: { "kit.test.mjs": kit("esm", "") },
    command: [
      ...["--experimental-vm-modules", "node_modules/jest/bin/jest.js", "--config"],
      JSON.stringify({ testMatch: ["**/*.test.mjs"] }),
    ],
  },
  ...["3", "4", "5"].map((version): Runner => ({
    ...{ name: "Vitest", versions: `Vitest ${version}`, as: KINDS.esm, dependencies: { vitest: version } },
    files: { "kit.test.js": kit("esm", 'import { test } from "vitest";\n'), "suite.test.js": SUITE },
    command: ["node_modules/vitest/vitest.mjs", "run"],
  })),
  NODE_TEST,
  {
    ...{ name: "Mocha", versions: "Mocha 11", as: KINDS.both, dependencies: { mocha: "11" } },
    files: {
      "test/kit.mjs": kit("esm", "", 'it("works", async () => {'),
      "test/kit.cjs": kit("cjs", "", 'it("works", async () => {'),
    },
    command: ["node_modules/mocha/bin/mocha.js", "test/kit.mjs", "test/kit.cjs"],
  },
  {
    ...{ name: "AVA", versions: "AVA 6", as: KINDS.both, dependencies: { ava: "6" } },
    files: {
      "kit.test.mjs": kit("esm", 'import test from "ava";\n', 'test("works", async (t) => {\n  t.pass();'),
      "kit.test.cjs": kit("cjs", 'const test = require("ava");\n', 'test("works", async (t) => {\n  t.pass();'),
    },
    command: ["node_modules/ava/entrypoints/cli.mjs"],
  },
  {
    ...{ name: "Japa", versions: "Japa 4", as: KINDS.esm, dependencies: { "@japa/runner": "4" } },
    files: {
      "kit.mjs": kit("esm", 'import { test } from "@japa/runner";\n'),
      "run.mjs": `import { configure, processCLIArgs, run } from "@japa/runner";
processCLIArgs([]), configure({ files: ["kit.mjs"] }), run();
`,
    },
    command: ["run.mjs"],
  },
];

/** Compiles, emits declarations, and refuses two wrong programs, which it would not if types were not found. */
const TYPED = `import { createCache, memory, redis } from "hotset";
import { createTestCache, TestClock } from "hotset/testing";
export const parts = { local: memory(), settings: redis("redis://localhost"), empty: createCache({ name: "shop" }) };
export const builder = parts.empty.tier(parts.local);
export const cache = builder.tier(parts.settings.build()).build();
export const users = cache.namespace<{ readonly name: string }>("users");
export const tested = createTestCache({ clock: new TestClock() });
export const find = async (id: string) => (await users.getOrSet(id, () => ({ name: "Ada" }))).name.length;
export const store = {
  ...{ set: <T,>(key: string, value: T) => cache.set<T>(key, value), remove: (key: string) => cache.delete(key) },
  ...{ clear: () => cache.clear({ stale: true }), tags: () => cache.invalidateTags("users") },
  ...{ touch: (key: string) => cache.touch(key), stale: (key: string) => cache.markStale(key) },
  ...{ many: () => cache.setMany([["a", 1]]), inspect: (key: string) => cache.inspect(key) },
  ...{ explain: (key: string) => cache.explain(key), stats: () => cache.stats() },
  wrapped: cache.wrap(find, { name: "find" }),
};
// @ts-expect-error
createCache({ nam: "shop" });
// @ts-expect-error
cache.set("key", undefined);
`;
const WRITTEN = `import { createCache, memory, type Cache } from "hotset";
export const cache: Cache = createCache({ name: "shop" }).tier(memory()).build();
`;
/** Calls of programs, with the types of replies: also compiled without `strict`. */
const CALLED = new URL("../../packages/redis-toolkit/test/types/programs.test-d.ts", import.meta.url);
const WAYS = ["node", "node16", "nodenext", "bundler"] as const;
const MODULES = { node: "commonjs", node16: "node16", nodenext: "nodenext", bundler: "esnext" };
const STRICTEST: readonly string[] = ["5.9", "7.0"];
/** From here on the types of Node and of node-redis pass without `skipLibCheck`. */
const CHECKED = 5.7;
const COMPILERS = ["4.9", "5.0", "5.2", "5.4", "5.7", "5.8", "5.9", "6.0", "7.0"];

/** Whether this TypeScript has this way to find a module. */
const knows = (version: string, way: (typeof WAYS)[number]): boolean =>
  way === "node" ? Number(version) < 7 : way !== "bundler" || Number(version) >= 5;

/** With what `hotset/testing` hands on. */
const HOTSET = latest(["hotset", "@hotset/testing"]);

/** Packages whose every entry is compiled with `skipLibCheck: false`. */
const PACKAGES = [
  ...["hotset", "@hotset/core", "@hotset/redis", "@hotset/redis-toolkit", "@hotset/http", "@hotset/keyv"],
  ...["@hotset/metrics", "@hotset/postgres", "@hotset/sqlite", "@hotset/memory", "@hotset/formats", "@hotset/seal"],
  ...["@hotset/testing", "@hotset/graphql", "@hotset/next", "@hotset/drizzle"],
];
const NODE_TYPES = ["22", "24", "25", "26"];

interface Importing extends Newcomer {
  readonly redisUrl: string;
  /** By their names and entries, without those of Vitest. */
  entriesOf(name: string): readonly string[];
}

/** Without the network: what is installed in this workspace. */
export async function importersBriefly(kit: Importing): Promise<void> {
  await runners(kit, [NODE_TEST]);
  await compilers(kit, ["5.9", "7.0"]);
}

/** @returns the tables of docs/guide/testing.md. */
export async function importers(kit: Importing): Promise<string> {
  const rows = [...(await runners(kit, RUNNERS))].map(
    ([name, [versions, as]]) => `| ${name} | ${versions.join("; ")} | ${as} |\n`,
  );
  const matrix = await compilers(kit, COMPILERS);
  for (const version of NODE_TYPES) await nodeTypes(kit, version);
  return `\nEach of these runs in the nightly tests:\n\n| runner | versions | tests are |\n|---|---|---|\n${rows.join("")}
| TypeScript | ${WAYS.map((way) => `\`${way}\``).join(" | ")} |\n|---|${WAYS.map(() => "---|").join("")}\n${matrix.join("")}
Also without \`strict\`, with the toolkit and the adapters, from ${CHECKED} with \`skipLibCheck: false\`; and with \`@types/node\` ${NODE_TYPES.join(", ")}. ✓: with \`declaration: true\` too, under pnpm in ${STRICTEST.join(" and ")}.
¹ With \`declaration: true\`, write the types of exports: \`export const cache: Cache = ...\`. Before 5.4 a type is named by its file.\n\n`;
}

/** Those that passed: versions by the name of a runner. */
async function runners(
  { project, step, check, redisUrl }: Importing,
  all: readonly Runner[],
): Promise<ReadonlyMap<string, readonly [versions: string[], as: string]>> {
  const passed = new Map<string, readonly [versions: string[], as: string]>();
  const known = new Map<object, ReturnType<typeof project>>();
  for (const { name, versions, as, dependencies, files, command } of all)
    await step(`import: ${versions}, ${name}`, async () => {
      const made = known.get(dependencies) ?? project("runner", { dependencies: { ...HOTSET, ...dependencies } });
      if (!known.has(dependencies)) await made.run("npm", ["install"]);
      known.set(dependencies, made);
      for (const [file, text] of Object.entries(files)) made.write(file, text);
      const { stdout, stderr } = await made.run(process.execPath, command, { REDIS_URL: redisUrl });
      check(!/open handle/.test(stdout + stderr), stdout + stderr);
      const [others] = passed.get(name) ?? [[]];
      passed.set(name, [[...others, versions], as]);
    });
  return passed;
}

/** A row for versions that are alike; a dash for what is unknown. Under pnpm, declarations can name fewer packages. */
async function compilers({ project, step }: Importing, versions: readonly string[]): Promise<readonly string[]> {
  const cells = new Map<string, string>();
  for (const installer of ["npm", "pnpm"]) {
    const own = versions.filter((version) => installer === "npm" || STRICTEST.includes(version));
    const aliases = Object.fromEntries(own.map((version) => [`ts${version}`, `npm:typescript@~${version}.0`]));
    const called = latest(["@hotset/redis-toolkit", "@hotset/keyv", "@hotset/graphql"]);
    const made = project("types", { dependencies: { ...HOTSET, ...called, "@types/node": "^22", ...aliases } });
    await made.run(installer, ["install"]);
    for (const ending of ["ts", "mts", "cts"])
      for (const [file, text] of Object.entries({
        program: TYPED,
        written: WRITTEN,
        called: readFileSync(CALLED, "utf8"),
      }))
        made.write(`${file}.${ending}`, text);
    for (const version of own)
      for (const way of WAYS.filter((each) => knows(version, each)))
        await step(`import: TypeScript ${version}, ${way}, installed by ${installer}`, async () => {
          const names = Number(version) >= 5.4 || way === "node";
          const compile = (file: string, ...flags: readonly string[]): Promise<unknown> =>
            made.run(process.execPath, [
              ...[`node_modules/ts${version}/bin/tsc`, "--outDir", "out", ...flags],
              ...["--target", "es2022", "--types", "node", "--module", MODULES[way], "--moduleResolution", way],
              ...(way === "node" && version === "6.0" ? ["--ignoreDeprecations", "6.0"] : []),
              ...(/^node./.test(way) ? ["mts", "cts"] : ["ts"]).map((ending) => `${file}.${ending}`),
            ]);
          for (const file of names ? ["program"] : ["program", "written"])
            await compile(
              file,
              "--strict",
              "--skipLibCheck",
              ...(names || file === "written" ? ["--declaration"] : []),
            );
          const checks = way === "nodenext" && Number(version) >= CHECKED ? [] : ["--skipLibCheck"];
          if (installer === "npm") await compile("called", "--strict", "false", ...checks);
          cells.set(version + way, names ? "✓" : "✓¹");
        });
  }
  const rows = Map.groupBy(versions, (version) => WAYS.map((way) => cells.get(version + way) ?? "–").join(" | "));
  return Array.from(rows, ([row, alike]) => `| ${alike.join(", ")} | ${row} |\n`);
}

function nodeTypes({ project, step, check, entriesOf }: Importing, version: string): Promise<void> {
  return step(`import: @types/node ${version}, skipLibCheck: false`, async () => {
    const made = project("node-types", {
      dependencies: latest(PACKAGES),
      devDependencies: {
        ...{ typescript: "5.9", "@types/node": version, "@types/express-session": "1", "@types/express": "5" },
        ...{ "express-session": "1", "prom-client": "15", "@opentelemetry/api": "1" },
      },
    });
    await made.run("npm", ["install"]);
    const types = PACKAGES.flatMap(entriesOf).map(
      (entry, i) => `export type T${i} = keyof typeof import("${entry}");\n`,
    );
    for (const file of ["program.mts", "program.cts"]) made.write(file, types.join(""));
    const command = ["--strict", "--target", "es2022", "--lib", "es2023", "--types", "node", "--module", "nodenext"];
    const parameters = ["node_modules/typescript/bin/tsc", "--noEmit", ...command, "program.mts", "program.cts"];
    // The types of Next and drizzle-orm do not pass.
    const { message } = await made.run(process.execPath, parameters).then(
      () => new Error(),
      (error: Error) => error,
    );
    check(!/^(?!node_modules\/(?:next|drizzle-orm)\/).+: error TS/m.test(message), message);
  });
}
