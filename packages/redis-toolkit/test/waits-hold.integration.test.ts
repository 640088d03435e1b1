/** A process is kept alive by what it awaits, here with Redis refusing, frozen or killed, and by nothing else. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isNightly, startOwnRedis } from "@hotset/test-servers";
import { expect, it } from "vitest";

const script = fileURLToPath(new URL("processes/waiting.ts", import.meta.url));
const ROUNDS = isNightly ? 100 : 1;

async function run(...args: readonly string[]): Promise<readonly [code: unknown, output: string]> {
  const flags = ["--conditions=@hotset/source", "--no-warnings"];
  const child = spawn(process.execPath, [...flags, script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const [code] = await once(child, "close");
  return [code, output];
}

it.each(["refused", "frozen", "killed"])(
  "C443 C116 every call settles, with Redis %s, and nothing is left",
  async (fault) => {
    await using server = await startOwnRedis();
    const url = fault === "refused" ? "redis://127.0.0.1:1" : server.url;
    expect(await run(fault, url, String(server.pid), String(ROUNDS))).toEqual([
      0,
      JSON.stringify({ last: "cache.close", left: [] }),
    ]);
  },
);
