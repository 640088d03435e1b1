import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { isNightly, ofWorkspace, redisPrograms, RespClient } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

const SHORT = ["--seconds", "1", "--requests", "2000"];

const ALWAYS = [
  "pass: no failed request",
  "pass: at least 2,000 requests, and each its share",
  "pass: each change seen by all within 2 s",
  "pass: no price served after it was deleted",
  "pass: no price older than its process had to know",
  "pass: one load for all who miss a price together",
  "pass: each price loaded once, and once for each change",
];
const SWAPPED = "pass: JSON is still read, msgpack is written";

/** A run that the README shows. */
const RECORDED = readFileSync(join(import.meta.dirname, "../../pictures/demo.txt"), "utf8");

/** Holds temporary files of the demos, and in `bin` the server program that the tests put on the PATH; `tools`
 * is a PATH without one. */
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-demo-test-"));
  // PostgreSQL runs as another user where the tests run as root.
  await chmod(folder, 0o755);
  await redisPrograms(join(folder, "bin"));
  await mkdir(join(folder, "tools"));
  // Which removes what a demo leaves behind.
  await symlink("/bin/rm", join(folder, "tools/rm"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("demo", () => {
  // Not beside the others: three processes and their visitors keep two cores busy.
  it("keeps three processes coherent while Redis is killed, frozen, and the format swapped; leaves nothing behind", async () => {
    const { code, out, errors } = await runDemo(SHORT).ended;
    expect({ code, errors, checks: checksOf(out) }).toEqual({
      code: 0,
      errors: "",
      checks: [
        ...ALWAYS,
        "pass: Redis was restarted, and is in use again",
        "pass: changes during the outage seen by all after it",
        SWAPPED,
        "pass: a price changed by SQL is right in all processes",
      ],
    });
    expect(shapeOf(out)).toEqual(shapeOf(RECORDED));
    const pid = Number(/\(pid (\d+), /.exec(out)?.[1]);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  it("without a Redis and a network says why, and passes its checks over a SQLite file", async () => {
    const env = { PATH: join(folder, "tools"), XDG_CACHE_HOME: join(folder, "tools") };
    const { code, out, errors } = await runDemo([...SHORT, "--processes", "2"], env).ended;
    expect({ code, errors, checks: checksOf(out) }).toEqual({ code: 0, errors: "", checks: [...ALWAYS, SWAPPED] });
    expect(out.split("\n").slice(0, 2)).toEqual([
      "no redis-server on the PATH: unpacking one, which is kept for the next time",
      "2 processes, each with memory over one SQLite file, because no Redis could be started: redis-server is not on " +
        "PATH, and apt-get is missing, which could download it. Install Redis (macOS: brew install redis), or set " +
        "REDIS_URL to a server, or start a Docker engine.",
    ]);
  });

  it.runIf(isNightly)("keeps two processes coherent over a given Redis, which it does not kill", async () => {
    const { code, out, errors } = await runDemo([...SHORT, "--processes", "2"], { REDIS_URL: inject("redisUrl") })
      .ended;
    expect({ code, errors, checks: checksOf(out) }).toEqual({ code: 0, errors: "", checks: [...ALWAYS, SWAPPED] });
  });

  it.concurrent("ends its processes when it is interrupted", async () => {
    const demo = runDemo(["--processes", "2", "--seconds", "60"]);
    const [, pid] = await demo.says(/\(pid (\d+), .* ms\n/s);
    demo.interrupt();
    const { code, errors } = await demo.ended;
    expect({ code, errors }).toEqual({ code: 130, errors: "" });
    expect(() => process.kill(Number(pid), 0)).toThrow("ESRCH");
  });

  it.concurrent("over a given Redis kills nothing, and removes its keys when it is interrupted", async () => {
    const url = inject("redisUrl");
    const demo = runDemo(SHORT, { REDIS_URL: url });
    await demo.says(/\d requests, /);
    demo.interrupt();
    const { code, out, errors } = await demo.ended;
    expect({ code, errors }).toEqual({ code: 130, errors: "" });
    expect(out).toContain("memory over the Redis of REDIS_URL, which is neither killed nor frozen");
    const client = RespClient.fromUrl(url);
    expect(await client.command("KEYS", "hotset-demo-*")).toEqual([]);
    client.close();
  });

  it.concurrent("serves until it is interrupted", async () => {
    const demo = runDemo(["--serve", "--no-redis"], { PORT: "0" });
    const [, url] = await demo.says(/listening on (\S+)\/,/);
    const inspector = await fetch(`${url}/hotset/`);
    expect(await inspector.text()).toContain("<title>hotset inspector</title>");
    const answers = [await fetch(`${url}/prices/kettle`), await fetch(`${url}/prices/..%2f..`)];
    expect(answers.map(({ status }) => status)).toEqual([200, 404]);
    expect(await answers[0]!.json()).toEqual({ product: "kettle", cents: 100, version: 1 });
    const buttons = (await (await fetch(url!)).text()).match(/<button>\w+/g);
    // Neither frozen nor full: there is no Redis of the demo.
    expect(buttons).toEqual(["<button>stampede", "<button>tags", "<button>slow"]);
    const pressed = await Promise.all(
      ["stampede", "frozen"].map((name) => fetch(`${url}/trouble/${name}`, { method: "POST", redirect: "manual" })),
    );
    expect(pressed.map(({ status }) => status)).toEqual([303, 404]);
    expect(await (await fetch(url!)).text()).toContain("<button disabled>stampede");
    demo.interrupt();
    const { code, errors } = await demo.ended;
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
  });

  it.concurrent.each([
    {
      args: ["--workers", "4"],
      says: "--workers is not an option; accepted are --seconds, --requests, --no-redis, --processes, --serve, --help",
    },
    {
      args: ["fast"],
      says: '"fast" is not an option; accepted are --seconds, --requests, --no-redis, --processes, --serve, --help',
    },
    { args: ["--requests", "10"], says: '--requests must be a whole number from 2000 to 1000000, got "10"' },
    { args: ["--seconds"], says: '--seconds must be a whole number from 1 to 300, got ""' },
    { args: ["--processes", "1"], says: '--processes must be a whole number from 2 to 8, got "1"' },
    {
      args: ["--processes", "2", "--serve"],
      says: "--processes cannot be combined with --serve; leave one of them out",
    },
    { args: ["--no-redis=yes"], says: "--no-redis takes no value" },
  ])("refuses $args", async ({ args, says }) => {
    const { code, out, errors } = await runDemo(args).ended;
    expect({ code, out, error: errors.split("\n")[0] }).toEqual({ code: 2, out: "", error: says });
  });

  it.concurrent("refuses a REDIS_URL where no server answers, without its password", async () => {
    const { code, errors } = await runDemo([], { REDIS_URL: "redis://:secret@127.0.0.1:1" }).ended;
    expect({ code, error: errors.split("\n")[0] }).toEqual({
      code: 2,
      error:
        "REDIS_URL: The Redis of REDIS_URL at 127.0.0.1:1 does not answer: Error: connect ECONNREFUSED 127.0.0.1:1",
    });
  });

  it("has left none of its copies behind", async () => {
    await expect.poll(() => readdir(folder)).toEqual(["bin", "tools"]);
  });
});

interface Demo {
  /** Resolves when the output matches. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
  interrupt(): void;
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly errors: string }>;
}

function runDemo(args: readonly string[], env: Readonly<Record<string, string>> = {}): Demo {
  const { REDIS_URL: _ofTheRun, ...inherited } = process.env;
  const child = spawn(process.execPath, [...ofWorkspace(), join(import.meta.dirname, "main.ts"), ...args], {
    env: { ...inherited, TMPDIR: folder, PATH: `${join(folder, "bin")}${delimiter}${inherited["PATH"]}`, ...env },
  });
  let out = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  return {
    interrupt: () => child.kill("SIGINT"),
    ended: new Promise((resolve) => child.once("close", (code) => resolve({ code, out, errors }))),
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(out);
          if (match !== null) resolve(match);
        };
        child.stdout.on("data", look);
        child.once("close", () =>
          reject(new Error(`the demo ended without printing ${String(pattern)}:\n${out}${errors}`)),
        );
        look();
      }),
  };
}

/** Its output without figures and without the line that shows the progress. */
function shapeOf(out: string): readonly string[] {
  const lines = out.split("\n").filter((line) => !line.endsWith("changes seen by all"));
  return lines.map((line) =>
    line
      .replaceAll(/run_id \w+ is now \w+/g, "run_id")
      .replaceAll(/[\d.,]+/g, "#")
      .replace(/# loads$/, "# load")
      .replaceAll(/ {2,}/g, "  ")
      // From ten seconds on they are a digit wider.
      .replace(/^ (?=# s )/, "  "),
  );
}

/** The list at the end of its output. */
function checksOf(out: string): readonly string[] {
  return [...out.matchAll(/^ {2}(pass|FAIL) {2}(.*?) {2}/gm)].map(([, result, what]) => `${result}: ${what}`);
}
