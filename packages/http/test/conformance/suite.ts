// The public suite of HTTP caches, http-tests/cache-tests, against this cache behind a small reverse proxy.
//
//   npm run tool -- conformance FOLDER [SET-UP] [server] [id=TEST]
//
// SET-UP is memory, redis, both, or two: two caches in turn, as of two processes, over memory and Redis. `server`: with
// the defaults of a server. FOLDER is a clone of https://github.com/http-tests/cache-tests at COMMIT, in which
// `npm install undici@7` was run. Prints how many tests pass, where a test counts only if those pass on which it
// depends, and each test that does not pass; fails where fewer pass than are expected.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createCache, type Cache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache } from "@hotset/http";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startRedis } from "@hotset/test-servers";
import { handlerOf, type Handler } from "./proxy.ts";

/** July 2026. */
export const COMMIT = "b55b8bda3dbb8c927c04e85bd8d496a8caa3e4ba";

/** How many tests pass, in each set-up. */
const EXPECTED = { full: { required: 160, optimal: 99 }, server: { required: 159, optimal: 98 } } as const;

interface SuiteTest {
  readonly id: string;
  readonly kind?: "required" | "optimal" | "check";
  readonly browser_only?: boolean;
  readonly depends_on?: readonly string[];
}
type Suites = readonly { readonly tests: readonly SuiteTest[] }[];
type Results = Readonly<Record<string, true | readonly [string, string]>>;

const [folder = "", setUp = "memory", ...flags] = process.argv.slice(2);
const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(join(folder, file)).href)) as T;
const port = 8_000 + (process.pid % 1_000);

const server = spawn(process.execPath, [join(folder, "test-engine/server/server.mjs")], {
  env: { ...process.env, npm_config_protocol: "http", npm_config_port: `${port}`, npm_config_pidfile: "/dev/null" },
  stdio: ["ignore", "pipe", "inherit"],
});
await once(server.stdout, "data");
const store = setUp === "memory" ? undefined : await startRedis();
const caches = Array.from({ length: setUp === "two" ? 2 : 1 }, open);
const handlers = caches.map(handlerFor);
let turn = 0;
const proxy = createServer((request, response) => handlers[turn++ % handlers.length]!(request, response)).listen(0);
await once(proxy, "listening");

const { default: suites } = await load<{ default: Suites }>("tests/index.mjs");
const { runTests, getResults } = await load<{
  runTests(tests: unknown, browser: boolean, base: string): Promise<void>;
  getResults(): Results;
}>("test-engine/client/runner.mjs");
await runTests(chosen(), false, `http://localhost:${(proxy.address() as AddressInfo).port}`);
report(
  suites.flatMap(({ tests }) => tests).filter(({ browser_only }) => browser_only !== true),
  getResults(),
);
proxy.closeAllConnections();
proxy.close();
server.kill();
await Promise.all(caches.map((cache) => cache.close()));
await store?.[Symbol.asyncDispose]();

function open(): Cache {
  const builder = createCache({ name: "conformance" });
  const near = memory({ maxEntries: 100_000 });
  if (store === undefined) return builder.tier(near).build();
  const far = redis(store.url).valueFormat(v8()).build();
  return setUp === "redis" ? builder.tier(far).build() : builder.tier(near).tier(far).build();
}

function handlerFor(cache: Cache): Handler {
  const isServer = flags.includes("server");
  const options = { setCookie: isServer ? "refuse" : "store", requestDirectives: !isServer } as const;
  return handlerOf(httpCache(cache.namespace("http"), options), `http://localhost:${port}`);
}

function chosen(): unknown {
  const only = flags.find((flag) => flag.startsWith("id="))?.slice(3);
  if (only === undefined) return suites;
  const of = (tests: readonly SuiteTest[]): unknown =>
    tests.filter(({ id }) => id === only).map((test) => ({ ...test, dump: true }));
  return suites.map((suite) => ({ ...suite, tests: of(suite.tests) }));
}

function report(tests: readonly SuiteTest[], results: Results): void {
  const byId = new Map(tests.map((test) => [test.id, test]));
  const passes = (id: string): boolean => results[id] === true;
  const counts = (test: SuiteTest): boolean =>
    passes(test.id) && (test.depends_on ?? []).every((id) => byId.get(id) === undefined || counts(byId.get(id)!));
  for (const kind of ["required", "optimal", "check"] as const) {
    const all = tests.filter((test) => (test.kind ?? "required") === kind);
    const passed = all.filter(counts).length;
    console.log(`${kind}: ${passed} of ${all.length}`);
    if (kind !== "check" && passed < EXPECTED[flags.includes("server") ? "server" : "full"][kind]) process.exitCode = 1;
    if (kind === "check") continue;
    for (const { id } of all.filter((test) => !counts(test)))
      console.log(`  ${id}: ${passes(id) ? "a test that it depends on fails" : String(results[id])}`);
  }
}
