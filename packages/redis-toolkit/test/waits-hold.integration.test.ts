/** A process is kept alive by what it awaits, here with Redis refusing, frozen or killed, and by nothing else. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isNightly, startOwnRedis } from "@hotset/test-servers";
import { expect, it } from "vitest";

const ROUNDS = isNightly ? 100 : 1;

async function run(
  name: string,
  args: readonly string[],
  onOutput?: (output: string) => unknown,
): Promise<readonly [code: unknown, output: string]> {
  const script = fileURLToPath(new URL(`processes/${name}.ts`, import.meta.url));
  const flags = ["--conditions=@hotset/source", "--no-warnings"];
  const child = spawn(process.execPath, [...flags, script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
    onOutput?.(output);
  });
  const [code] = await once(child, "close");
  return [code, output];
}

it.each(["refused", "frozen", "killed"])(
  "C116 every call settles, with Redis %s, and nothing is left",
  async (fault) => {
    await using server = await startOwnRedis();
    const url = fault === "refused" ? "redis://127.0.0.1:1" : server.url;
    expect(await run("waiting", [fault, url, String(server.pid), String(ROUNDS)])).toEqual([
      0,
      JSON.stringify({ last: "cache.close", left: [] }),
    ]);
  },
);

it("C116 a subscriber keeps its process alive while it reconnects, until it is closed", async () => {
  await using server = await startOwnRedis();
  let killed: Promise<unknown> | undefined;
  const next = async (output: string): Promise<void> => {
    if (output === "subscribed ") killed = server.kill();
    if (output !== "subscribed lost ") return;
    // The connection is lost before the process has ended.
    await killed;
    await server.start();
  };
  expect(await run("subscribed", [server.url], (output) => void next(output))).toEqual([
    0,
    "subscribed lost gap closed ",
  ]);
});
