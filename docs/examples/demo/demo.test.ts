import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { isNightly, redisPrograms, RespClient } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

const SHORT = ["--seconds", "1", "--requests", "2000"];

const ALWAYS = [
  "pass: no failed request",
  "pass: at least 2,000 requests",
  "pass: loads at most keys + changes + restarts of Redis",
  "pass: at least 90 % hits",
  "pass: each change visible within its ttl, 4 s",
  "pass: the cache counted what its clients saw",
  "pass: the restarted service found its values",
];

const ALWAYS_OF_PROCESSES = [
  "pass: no failed request",
  "pass: at least 2,000 requests, and each process its share",
  "pass: each change seen by all processes within 2 s",
  "pass: no price served after it was deleted",
  "pass: no price older than its process had to know",
  "pass: each price loaded once in all processes, once more for each change",
];

/** Holds temporary files of the demos, and in `bin` the server program that the tests put on the PATH. */
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-demo-test-"));
  await redisPrograms(join(folder, "bin"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("demo", () => {
  it.concurrent("passes its own checks over a file, whose values survive a restart, and leaves nothing behind", async () => {
    const { code, out, errors } = await runDemo([...SHORT, "--no-redis"]).ended;
    expect({ code, errors, checks: checksOf(out) }).toEqual({ code: 0, errors: "", checks: ALWAYS });
    expect(out).toMatch(/^memory over one SQLite file$/m);
    expect(out).toMatch(/restarted the service: its memory is empty, the file is not/);
    expect(out).toMatch(/^ {2}file hit +[1-9]/m);
    expect(out).toMatch(/changed \S+ in the copy/);
  });

  it.runIf(isNightly).concurrent("passes them over a Redis of its own, which it kills and starts again", async () => {
    const { code, out, errors } = await runDemo(SHORT).ended;
    expect({ code, errors, checks: checksOf(out) }).toEqual({
      code: 0,
      errors: "",
      checks: [...ALWAYS, "pass: Redis was restarted: another run_id", "pass: Redis is in use again"],
    });
    expect(out).toMatch(/killed Redis \(SIGKILL to \d+\)/);
    expect(out).toMatch(/^ {2}redis hit +[1-9]/m);
  });

  // Not beside the others: three processes and their visitors keep two cores busy.
  it("keeps three processes coherent through a kill of their Redis, and leaves nothing behind", async () => {
    const { code, out, errors } = await runDemo([...SHORT, "--processes", "3"]).ended;
    expect({ code, errors, checks: checksOf(out) }).toEqual({
      code: 0,
      errors: "",
      checks: [
        ...ALWAYS_OF_PROCESSES,
        "pass: Redis was restarted: another run_id",
        "pass: changes during the outage seen by all processes after it",
        "pass: Redis is in use again",
      ],
    });
    expect(out).toMatch(/^3 processes, each with memory over a Redis of its own/m);
    expect(out).toMatch(/killed Redis \(SIGKILL to \d+\)/);
    expect(out).toMatch(/all processes receive changes again, \d+ ms after that/);
    const [, all] = /3 processes \((.*?)\)/.exec(out)!;
    for (const pid of all!.split(", ")) expect(() => process.kill(Number(pid), 0)).toThrow("ESRCH");
  });

  it.runIf(isNightly)("keeps two processes coherent over a given Redis, which it does not kill", async () => {
    const { code, out, errors } = await runDemo([...SHORT, "--processes", "2"], { REDIS_URL: inject("redisUrl") })
      .ended;
    expect({ code, errors, checks: checksOf(out) }).toEqual({ code: 0, errors: "", checks: ALWAYS_OF_PROCESSES });
  });

  it.concurrent("ends its processes when it is interrupted", async () => {
    const demo = runDemo(["--processes", "2", "--seconds", "60"]);
    const [, all] = await demo.says(/2 processes \((.*?)\)/);
    demo.interrupt();
    const { code, errors } = await demo.ended;
    expect({ code, errors }).toEqual({ code: 130, errors: "" });
    for (const pid of all!.split(", ")) expect(() => process.kill(Number(pid), 0)).toThrow("ESRCH");
  });

  it.concurrent("over a given Redis kills nothing, and removes its keys when it is interrupted", async () => {
    const url = inject("redisUrl");
    const demo = runDemo(SHORT, { REDIS_URL: url });
    await demo.says(/\d requests, /);
    demo.interrupt();
    const { code, out, errors } = await demo.ended;
    expect({ code, errors }).toEqual({ code: 130, errors: "" });
    expect(out).toContain("memory over the Redis of REDIS_URL");
    const client = RespClient.fromUrl(url);
    expect(await client.command("KEYS", "hotset-demo-*")).toEqual([]);
    client.close();
  });

  it.concurrent("serves until it is interrupted", async () => {
    const demo = runDemo(["--serve", "--no-redis"], { PORT: "0" });
    const [, url] = await demo.says(/listening on (\S+)/);
    const names = (await (await fetch(`${url}/packages`)).json()) as readonly string[];
    const path = `/packages/${encodeURIComponent(names[0]!)}`;
    const answers = [await fetch(url + path), await fetch(url + path), await fetch(`${url}/packages/..%2f..`)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 404]);
    const [missed, hit, refused] = answers.map(({ headers }) => [headers.get("cache-status"), headers.get("age")]);
    expect([missed, refused]).toEqual([
      ["hotset; fwd=miss", "0"],
      [null, null],
    ]);
    const [, ttl] = /^hotset; hit; ttl=(\d+); detail=(?:memory|sqlite)$/.exec(hit![0]!)!;
    expect(Number(ttl) + Number(hit![1])).toBe(3_599);
    expect(await answers[1]!.json()).toEqual(await answers[0]!.json());
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
      args: ["--processes", "2", "--no-redis"],
      says: "--processes cannot be combined with --no-redis; leave one of them out",
    },
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
    await expect.poll(() => readdir(folder)).toEqual(["bin"]);
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
  const child = spawn(
    process.execPath,
    ["--conditions=@hotset/source", join(import.meta.dirname, "main.ts"), ...args],
    {
      env: { ...inherited, TMPDIR: folder, PATH: `${join(folder, "bin")}${delimiter}${inherited["PATH"]}`, ...env },
    },
  );
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

/** The list at the end of its output. */
function checksOf(out: string): readonly string[] {
  return [...out.matchAll(/^ {2}(pass|FAIL) {2}(.*?) {2}/gm)].map(([, result, what]) => `${result}: ${what}`);
}
