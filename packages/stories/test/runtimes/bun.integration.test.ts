/** hotset in Bun itself, from its sources; the packed packages run in it each night. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { randomPrefix, startRedis } from "@hotset/test-servers";
import { expect, it } from "vitest";

const PLATFORM = `${process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}`;
const BUN = createRequire(import.meta.url).resolve(
  `@oven/bun-${PLATFORM}/bin/bun${process.platform === "win32" ? ".exe" : ""}`,
);
const PROGRAM = join(import.meta.dirname, "program.ts");

it("Bun caches in memory and over Redis, and one process of it notifies another of what it deletes", async () => {
  await using redis = await startRedis();
  const place = [redis.url, randomPrefix()];
  const deleted: Said[] = [];
  const shared = await run(["shares", ...place], async (line) => {
    if ("copy" in line) deleted.push(...(await run(["deletes", ...place])));
  });

  const order = { at: "1970-01-01T00:00:00.000Z", total: "12n" };
  expect(shared).toEqual([
    { together: Array.from({ length: 3 }, () => ({ ...order, load: 1 })), after: { ...order, load: 2 }, isTyped: true },
    { copy: { ...order, load: 1 } },
    { loads: 2, isGone: true },
  ]);
  expect(deleted).toEqual([{ found: { ...order, load: 1 } }]);
});

type Said = Readonly<Record<string, unknown>>;

/** The output of the program, once it has ended on its own without an error. */
async function run(
  given: readonly string[],
  onLine: (line: Said) => Promise<void> = async () => {},
): Promise<readonly Said[]> {
  const child = spawn(BUN, ["--conditions=@hotset/source", PROGRAM, ...given], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  let printed = "";
  child.stderr.on("data", (part) => (printed += String(part)));
  const lines: Said[] = [];
  const listening: Promise<void>[] = [];
  createInterface(child.stdout).on("line", (text) => {
    const line = JSON.parse(text) as Said;
    lines.push(line);
    listening.push(onLine(line));
  });
  const code = await ended;
  expect({ code, printed }).toEqual({ code: 0, printed: "" });
  await Promise.all(listening);
  return lines;
}
