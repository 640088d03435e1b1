// The public suite of HTTP caches, http-tests/cache-tests, against this cache behind a small reverse proxy.
//
//   npm run tool -- conformance FOLDER [SET-UP] [server] [id=TEST]
//
// SET-UP is memory, redis, both, or two: two caches in turn, as of two processes, over memory and Redis. `server`: with
// the defaults of a server. Also the names of peers.ts: another cache in its place. Without a SET-UP: memory and the
// peers, one after another, as a table. FOLDER is a clone of https://github.com/http-tests/cache-tests at COMMIT, in which
// `npm install undici@7` was run. Prints how many tests pass, where a test counts only if those pass on which it
// depends, and each test that does not pass; fails where fewer pass than are expected.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { createCache, type Cache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache } from "@hotset/http";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startRedis } from "@hotset/test-servers";
import { PEERS } from "./peers.ts";
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

const port = 8_000 + (process.pid % 1_000);
const origin = `http://localhost:${port}`;
const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(join(folder, file)).href)) as T;
const [folder = "", setUp = "", ...flags] = process.argv.slice(2);
if (setUp === "") await compare();
else await run();

/** Each in a process: the suite keeps its results for the life of one. */
async function compare(): Promise<void> {
  console.log(`${"".padEnd(24)}required  optimal`);
  for (const name of ["memory", ...Object.keys(PEERS)]) {
    const words = ["--conditions=@hotset/source", fileURLToPath(import.meta.url), folder, name];
    const { stdout } = await promisify(execFile)(process.execPath, words, { maxBuffer: 2 ** 24 }).catch(
      (error: { stdout: string }) => error,
    );
    const count = (kind: string): string => new RegExp(`^${kind}: (\\d+) of`, "m").exec(stdout)?.[1] ?? "-";
    const [required, optimal] = [count("required"), count("optimal")];
    console.log(
      `${(name === "memory" ? "@hotset/http" : name).padEnd(24)}${required.padStart(8)} ${optimal.padStart(8)}`,
    );
    if (name === "memory" && (Number(required) < EXPECTED.full.required || Number(optimal) < EXPECTED.full.optimal))
      process.exitCode = 1;
  }
}

async function run(): Promise<void> {
  const server = spawn(process.execPath, [join(folder, "test-engine/server/server.mjs")], {
    env: { ...process.env, npm_config_protocol: "http", npm_config_port: `${port}`, npm_config_pidfile: "/dev/null" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(server.stdout, "data");
  const store = ["redis", "both", "two"].includes(setUp) ? await startRedis() : undefined;
  const peer = PEERS[setUp];
  const caches = peer === undefined ? Array.from({ length: setUp === "two" ? 2 : 1 }, () => open(store?.url)) : [];
  const handlers = peer === undefined ? caches.map(handlerFor) : [peer(origin)];
  let turn = 0;
  const proxy = createServer((request, response) => handlers[turn++ % handlers.length]!(request, response)).listen(0);
  await once(proxy, "listening");

  const { default: suites } = await load<{ default: Suites }>("tests/index.mjs");
  const { runTests, getResults } = await load<{
    runTests(tests: unknown, browser: boolean, base: string): Promise<void>;
    getResults(): Results;
  }>("test-engine/client/runner.mjs");
  await runTests(chosen(suites), false, `http://localhost:${(proxy.address() as AddressInfo).port}`);
  report(
    suites.flatMap(({ tests }) => tests).filter(({ browser_only }) => browser_only !== true),
    getResults(),
  );
  proxy.closeAllConnections();
  proxy.close();
  server.kill();
  await Promise.all(caches.map((cache) => cache.close()));
  await store?.[Symbol.asyncDispose]();
  // Peers keep their connections to the origin.
  if (peer !== undefined) process.exit();
}

function open(url: string | undefined): Cache {
  const builder = createCache({ name: "conformance" });
  const near = memory({ maxEntries: 100_000 });
  if (url === undefined) return builder.tier(near).build();
  const far = redis(url).valueFormat(v8()).build();
  return setUp === "redis" ? builder.tier(far).build() : builder.tier(near).tier(far).build();
}

function handlerFor(cache: Cache): Handler {
  const isServer = flags.includes("server");
  const options = { setCookie: isServer ? "refuse" : "store", requestDirectives: !isServer } as const;
  return handlerOf(httpCache(cache.namespace("http"), options), origin);
}

function chosen(suites: Suites): unknown {
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
    if (
      PEERS[setUp] === undefined &&
      kind !== "check" &&
      passed < EXPECTED[flags.includes("server") ? "server" : "full"][kind]
    )
      process.exitCode = 1;
    if (kind === "check") continue;
    for (const { id } of all.filter((test) => !counts(test)))
      console.log(`  ${id}: ${passes(id) ? "a test that it depends on fails" : String(results[id])}`);
  }
}
