import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const bare = join(dirname(dirname(fileURLToPath(import.meta.url))), "bare.mjs");

interface Outcome {
  readonly code: number | null;
  readonly lines: readonly string[];
}

/** `shell` as .ci/bare.mjs runs it. `onLine` gets each line that it writes. */
async function runBare(
  shell: string,
  env: Readonly<Record<string, string>> = {},
  onLine?: (line: string, stop: () => void) => void,
): Promise<Outcome> {
  const child = spawn(process.execPath, [bare, "sh", "-c", shell], { env: { ...process.env, ...env } });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    onLine?.(out, () => child.kill("SIGTERM"));
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, lines: out.trimEnd().split("\n") };
}

describe("a bare machine", () => {
  it("has the programs of the system, and no server, container, database, browser or other package manager", async () => {
    const { lines } = await runBare("ls -1 $PATH");
    expect(lines).toEqual(expect.arrayContaining(["node", "sh", "git", "ls"]));
    expect(
      lines.filter((name) =>
        /^(redis|valkey|docker|podman|psql|postgres|pg_|mysql|sqlite3|chrom|firefox|pnpm|yarn|bun$|deno)/.test(name),
      ),
    ).toEqual([]);
    expect(lines.includes("pgrep")).toBe(existsSync("/usr/bin/pgrep"));
  });

  it("has an empty HOME, and of the environment only what reaches the network and what is ours", async () => {
    const { lines } = await runBare("ls -A $HOME; echo $REDIS_URL-$XDG_CACHE_HOME-$HOTSET_TEST_SERVER-$https_proxy", {
      REDIS_URL: "redis://elsewhere",
      XDG_CACHE_HOME: "/var/cache",
      HOTSET_TEST_SERVER: "redis7",
      https_proxy: "http://proxy:3128",
    });
    expect(lines).toEqual(["--redis7-http://proxy:3128"]);
  });

  it("ends with the code of the command, and leaves no folder", async () => {
    const { code, lines } = await runBare("echo $HOME; exit 3");
    expect(code).toBe(3);
    expect(existsSync(dirname(lines[0]!))).toBe(false);
  });

  it("passes a signal on, and leaves no folder then either", async () => {
    const { code, lines } = await runBare(
      "trap 'echo stopped; exit 7' TERM; echo $HOME; while :; do sleep 0.1; done",
      {},
      (line, stop) => {
        if (!line.includes("stopped")) stop();
      },
    );
    expect(code).toBe(7);
    expect(lines.at(-1)).toBe("stopped");
    expect(existsSync(dirname(lines[0]!))).toBe(false);
  });
});
