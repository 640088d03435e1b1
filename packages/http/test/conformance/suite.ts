// The public suite of HTTP caches, http-tests/cache-tests, against this cache.
//
//   node --conditions=@hotset/source packages/http/test/conformance/suite.ts FOLDER [memory|both] [server]
//
// FOLDER is a clone of https://github.com/http-tests/cache-tests at commit b55b8bda3dbb8c927c04e85bd8d496a8caa3e4ba. Prints
// how many tests pass, where a test counts only if those pass on which it depends, and each test that does not.

import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { httpCache } from "@hotset/http";
import { proxyOf } from "./proxy.ts";

interface SuiteTest {
  readonly id: string;
  readonly kind?: "required" | "optimal" | "check";
  readonly browser_only?: boolean;
  readonly depends_on?: readonly string[];
}
type Results = Readonly<Record<string, true | readonly [string, string]>>;

const [folder = "", , ...flags] = process.argv.slice(2);
const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(join(folder, file)).href)) as T;
const port = 8_000 + (process.pid % 1_000);

const server = spawn(process.execPath, [join(folder, "test-engine/server/server.mjs")], {
  env: { ...process.env, npm_config_protocol: "http", npm_config_port: `${port}`, npm_config_pidfile: "/dev/null" },
  stdio: ["ignore", "pipe", "inherit"],
});
await once(server.stdout, "data");
const cache = createCache({ name: "conformance" })
  .tier(memory({ maxEntries: 100_000 }))
  .build();
const http = httpCache(cache.namespace("http"), {
  setCookie: flags.includes("server") ? "refuse" : "store",
  requestDirectives: !flags.includes("server"),
});
const proxy = proxyOf(http, `http://localhost:${port}`).listen(0);
await once(proxy, "listening");

const { default: suites } = await load<{ default: readonly { tests: readonly SuiteTest[] }[] }>("tests/index.mjs");
const { runTests, getResults } = await load<{
  runTests(tests: unknown, browser: boolean, base: string): Promise<void>;
  getResults(): Results;
}>("test-engine/client/runner.mjs");
const only = flags.find((flag) => flag.startsWith("id="))?.slice(3);
const chosen =
  only === undefined
    ? suites
    : suites.map((each) => ({
        ...each,
        tests: each.tests.filter(({ id }) => id === only).map((test) => ({ ...test, dump: true })),
      }));
await runTests(chosen, false, `http://localhost:${(proxy.address() as AddressInfo).port}`);
report(
  suites.flatMap(({ tests }) => tests).filter(({ browser_only }) => browser_only !== true),
  getResults(),
);
proxy.closeAllConnections();
proxy.close();
server.kill();
await cache.close();

function report(tests: readonly SuiteTest[], results: Results): void {
  const byId = new Map(tests.map((test) => [test.id, test]));
  const passes = (id: string): boolean => results[id] === true;
  const counts = (test: SuiteTest): boolean =>
    passes(test.id) && (test.depends_on ?? []).every((id) => byId.get(id) === undefined || counts(byId.get(id)!));
  for (const kind of ["required", "optimal", "check"] as const) {
    const all = tests.filter((test) => (test.kind ?? "required") === kind);
    const passed = all.filter(counts);
    console.log(`${kind}: ${passed.length} of ${all.length}`);
    if (kind === "check") continue;
    for (const test of all)
      if (!counts(test))
        console.log(`  ${test.id}: ${passes(test.id) ? "a test that it depends on fails" : String(results[test.id])}`);
  }
}
