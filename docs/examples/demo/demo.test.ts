import { spawn } from "node:child_process";
import { join } from "node:path";
import { startOwnRedis } from "@hotset/test-servers";
import { describe, expect, inject, it } from "vitest";

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly errors: string;
}

function runDemo(args: readonly string[], env: Readonly<Record<string, string>> = {}, onOutput: (out: string, kill: (signal: NodeJS.Signals) => void) => void = () => undefined): Promise<Ended> {
  // As `npm run demo` does, but for what else this test run has in its environment.
  const { REDIS_URL: _given, ...inherited } = process.env;
  const child = spawn(process.execPath, ["--conditions=@hotset/source", join(import.meta.dirname, "main.ts"), ...args], { env: { ...inherited, ...env } });
  let out = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    onOutput(out, (signal) => child.kill(signal));
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, out, errors })));
}

/** The list of checks at the end, as `passed: what`. */
function checksOf(out: string): readonly string[] {
  return [...out.matchAll(/^ {2}(pass|FAIL) {2}(.*?) {2,}/gm)].map(([, result, what]) => `${result}: ${what}`);
}

const ALWAYS = [
  "pass: no failed request",
  "pass: at least 2,000 requests",
  "pass: loads at most keys + changes + restarts of Redis",
  "pass: at least 90 % hits",
  "pass: each change visible within its ttl, 2 s",
  "pass: the cache counted what its clients saw",
];
const SHORT = ["--seconds", "1", "--requests", "2000"];

describe("demo", { timeout: 60_000 }, () => {
  it.concurrent("holds its own checks in memory alone", async () => {
    const { code, out, errors } = await runDemo([...SHORT, "--no-redis"]);
    expect({ code, errors, checks: checksOf(out) }).toEqual({ code: 0, errors: "", checks: ALWAYS });
    expect(out).toContain("memory alone");
    expect(out).toMatch(/changed \S+ in the copy/);
  });

  it.concurrent("holds them over a Redis of its own, which it kills and starts again", async () => {
    // So that there is a server program on the PATH of the demo, wherever this one's comes from.
    await using server = await startOwnRedis();
    expect(server.state).toBe("running");
    const { code, out, errors } = await runDemo(SHORT);
    expect({ code, errors, checks: checksOf(out) }).toEqual({
      code: 0,
      errors: "",
      checks: [...ALWAYS, "pass: Redis was restarted: another run_id", "pass: Redis is in use again"],
    });
    expect(out).toMatch(/killed Redis \(SIGKILL to \d+\)/);
  });
});
