// The public suite of HTTP caches, http-tests/cache-tests, against reverse proxies of a few lines through each adapter
// of this package, and against two other caches.
//
//   npm run tool -- conformance FOLDER [NAME] [id=TEST]
//
// NAME is one of SETUPS; without it all run, one after another, and docs/reference/http-conformance.md is written from
// what they count. FOLDER is a clone of https://github.com/http-tests/cache-tests at COMMIT, in which
// `npm install undici@7` was run. A test counts only if those pass on which it depends. Fails where fewer pass than
// counts.json says, the counts of the latest page.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { createCache, type Cache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache, type HttpCacheOptions } from "@hotset/http";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startRedis } from "@hotset/test-servers";
import { ADAPTERS, type Proxy } from "./adapters.ts";
import { pageOf, type Counts } from "./page.ts";
import { PEERS } from "./peers.ts";

/** July 2026. */
export const COMMIT = "b55b8bda3dbb8c927c04e85bd8d496a8caa3e4ba";

interface Setup {
  /** Absent for another cache in its place. */
  readonly adapter?: string;
  readonly tiers?: "memory" | "redis" | "both";
  /** So many caches in turn, as of so many processes. */
  readonly caches?: number;
  readonly options?: HttpCacheOptions;
}

/** As RFC 9111 has it: Set-Cookie and directives of requests count, handlers see all fields, errors are stored. */
const BY_THE_RFC: HttpCacheOptions = {
  setCookie: "store",
  requestDirectives: true,
  safeHeaders: false,
  store: { status: [[200, 599]] },
};
/** The fields that its client sends: a load has them. */
const BY_DEFAULT: HttpCacheOptions = {
  safeHeaders: [
    ...["test-id", "test-name", "req-num", "foo", "bar", "baz"],
    ...["user-agent", "sec-fetch-mode", "cache-control", "pragma", "accept", "accept-language", "accept-encoding"],
  ],
};

const SETUPS: Readonly<Record<string, Setup>> = {
  ...Object.fromEntries(Object.keys(ADAPTERS).map((adapter) => [adapter, { adapter }])),
  "node:http over Redis": { adapter: "node:http", tiers: "redis" },
  "node:http over memory and Redis": { adapter: "node:http", tiers: "both" },
  "node:http, two processes in turn": { adapter: "node:http", tiers: "both", caches: 2 },
  // With a connection, the first answer that is not stored runs a handler twice, and the suite takes that for a retry.
  "interceptor with the defaults of a server": { adapter: "interceptor", options: BY_DEFAULT },
  ...Object.fromEntries(Object.keys(PEERS).map((peer) => [peer, {}])),
};

interface SuiteTest {
  readonly id: string;
  readonly kind?: "required" | "optimal" | "check";
  readonly browser_only?: boolean;
  readonly depends_on?: readonly string[];
}
type Suites = readonly { readonly tests: readonly SuiteTest[] }[];
type Results = Readonly<Record<string, true | readonly [string, string]>>;

const COUNTS = join(import.meta.dirname, "counts.json");
const PAGE = join(import.meta.dirname, "../../../../docs/reference/http-conformance.md");
const [folder = "", name = "", ...flags] = process.argv.slice(2);
const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(join(folder, file)).href)) as T;
const before = JSON.parse(readFileSync(COUNTS, "utf8")) as Readonly<Record<string, Counts>>;
if (name === "") await runAll();
else {
  const counts = await run(SETUPS[name] ?? refuse(name));
  console.log(JSON.stringify(counts));
  // Peers keep their connections to the origin.
  process.exit(isWorse(counts, before[name]) ? 1 : 0);
}

/** Each in a process: the suite keeps its results for the life of one. */
async function runAll(): Promise<void> {
  const all: Record<string, Counts> = {};
  for (const each of Object.keys(SETUPS)) {
    const words = ["--conditions=@hotset/source", fileURLToPath(import.meta.url), folder, each];
    const { stdout } = await promisify(execFile)(process.execPath, words, { maxBuffer: 2 ** 24 }).catch(
      (error: { stdout: string }) => error,
    );
    const counts = JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as Counts;
    console.log(`${each}: ${counts.required.passed} and ${counts.optimal.passed}`);
    all[each] = counts;
    if (isWorse(counts, before[each])) process.exitCode = 1;
  }
  writeFileSync(COUNTS, `${JSON.stringify(all, null, 2)}\n`);
  writeFileSync(PAGE, pageOf(all));
}

function refuse(given: string): never {
  throw new Error(`no such set-up: ${given}. There are: ${Object.keys(SETUPS).join(", ")}`);
}

function isWorse(counts: Counts, than: Counts | undefined): boolean {
  if (than === undefined) return false;
  return counts.required.passed < than.required.passed || counts.optimal.passed < than.optimal.passed;
}

async function run({ adapter, tiers = "memory", caches: count = 1, options = BY_THE_RFC }: Setup): Promise<Counts> {
  const port = 8_000 + (process.pid % 1_000);
  const origin = `http://localhost:${port}`;
  const server = spawn(process.execPath, [join(folder, "test-engine/server/server.mjs")], {
    env: { ...process.env, npm_config_protocol: "http", npm_config_port: `${port}`, npm_config_pidfile: "/dev/null" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(server.stdout, "data");
  await using store = tiers === "memory" ? undefined : await startRedis();
  let [turn, handlers]: [number, readonly Proxy[]] = [0, []];
  const proxy = createServer((request, response) => handlers[turn++ % handlers.length]!(request, response)).listen(0);
  await once(proxy, "listening");
  const base = `http://localhost:${(proxy.address() as AddressInfo).port}`;
  const caches = adapter === undefined ? [] : Array.from({ length: count }, () => open(store?.url, tiers));
  const isClient = adapter === "interceptor" || adapter === "cachedFetch";
  handlers =
    adapter === undefined
      ? [PEERS[name]!(origin)]
      : await Promise.all(
          caches.map((cache) =>
            ADAPTERS[adapter]!(httpCache(cache.namespace("http"), { ...(!isClient && { base }), ...options }), origin),
          ),
        );

  const { default: suites } = await load<{ default: Suites }>("tests/index.mjs");
  const { runTests, getResults } = await load<{
    runTests(tests: unknown, browser: boolean, base: string, chunk: number): Promise<void>;
    getResults(): Results;
  }>("test-engine/client/runner.mjs");
  await runTests(chosen(suites), false, base, 60);
  const tests = suites.flatMap((suite) => suite.tests).filter(({ browser_only }) => browser_only !== true);
  const counts = countsOf(tests, getResults());
  proxy.closeAllConnections();
  proxy.close();
  server.kill();
  await Promise.all(caches.map((cache) => cache.close()));
  return counts;
}

function open(url: string | undefined, tiers: Setup["tiers"]): Cache {
  const builder = createCache({ name: "conformance" });
  const near = memory({ maxEntries: 100_000 });
  if (url === undefined) return builder.tier(near).build();
  const far = redis(url).valueFormat(v8()).build();
  return tiers === "redis" ? builder.tier(far).build() : builder.tier(near).tier(far).build();
}

function chosen(suites: Suites): unknown {
  const only = flags.find((flag) => flag.startsWith("id="))?.slice(3);
  if (only === undefined) return suites;
  const of = (tests: readonly SuiteTest[]): unknown =>
    tests.filter(({ id }) => id === only).map((test) => ({ ...test, dump: true }));
  return suites.map((suite) => ({ ...suite, tests: of(suite.tests) }));
}

function countsOf(tests: readonly SuiteTest[], results: Results): Counts {
  const byId = new Map(tests.map((test) => [test.id, test]));
  const counts = ({ id, depends_on = [] }: SuiteTest): boolean =>
    results[id] === true && depends_on.every((each) => byId.get(each) === undefined || counts(byId.get(each)!));
  const of = (kind: SuiteTest["kind"]): Counts["required"] => {
    const all = tests.filter((test) => (test.kind ?? "required") === kind);
    const missing = all.filter((test) => !counts(test)).map(({ id }) => id);
    return { passed: all.length - missing.length, of: all.length, missing };
  };
  return { required: of("required"), optimal: of("optimal") };
}
