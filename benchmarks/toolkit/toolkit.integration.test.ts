import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

it("every figure of the toolkit is measured beside other clients, locks and limiters", async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--no-warnings", "--conditions=@hotset/source", join(import.meta.dirname, "run.ts"), "--short"],
    { timeout: 240_000 },
  );
  const names = [...stdout.matchAll(/^\*\*toolkit: (.+?)\*\*/gm)].map(([, name]) => name);
  expect(names).toEqual([
    "redis-benchmark",
    "throughput",
    "p99 at an offered load",
    "memory",
    "connections",
    "kill -9, started after 2 s",
    "rows",
    "prices",
  ]);
  const judged = [...stdout.matchAll(/^\| (R3-\d+) \|.*\| (?:met|\*\*not met\*\*) \|$/gm)].map(([, id]) => id);
  expect(judged).toEqual(["R3-31", "R3-32", "R3-33", "R3-34", "R3-36"]);
  const priced = [...stdout.matchAll(/^\| (.+?) \| (?:process )?\d.*\| (?:met|\*\*not met\*\*) \|$/gm)].map(
    ([, what]) => what,
  );
  expect(priced.filter((what) => !what!.startsWith("R3-"))).toHaveLength(8);
  for (const peer of ["node-redis", "ioredis", "redlock", "rate-limiter-flexible"])
    expect(stdout).toMatch(new RegExp(`^\\| ${peer} \\| \\d`, "m"));
});
