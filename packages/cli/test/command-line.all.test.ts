import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startOwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { BIN, hotset, inProcess, printed } from "./hotset.ts";

describe("arguments", () => {
  it.each([
    ["no command", [], /^hotset: caches, queues and locks/],
    ["an unknown command", ["docter"], /^hotset: unknown command "docter"; did you mean doctor\?; known: .*; see/],
    ["an option before the command", ["--json", "doctor"], /^hotset: the command comes first, .*; see hotset --help/],
    ["the host of a server", ["doctor", "--host", "a"], /^hotset: unknown option "--host"; did you mean --url\?; see/],
    ["a word of redis-cli", ["del", "a", "b"], /^hotset: unknown command "del"; did you mean delete\?; known:/],
    ["an unknown option", ["doctor", "--jsn"], /^hotset: unknown option "--jsn"; did you mean --json\?; see/],
    ["a value that is missing", ["doctor", "--sample"], /^hotset: --sample needs a value: --sample <n>; see/],
    ["a value for a flag", ["doctor", "--json=yes"], /^hotset: --json takes no value; see/],
    ["a number out of range", ["doctor", "--sample", "0"], /^hotset: --sample must be .* to 1000000, got "0"; see/],
    [
      "a word too many",
      ["doctor", "shop"],
      /^hotset: doctor takes no words, got "shop"; the server is given with --url <url>; see/,
    ],
    [
      "a check that does not exist",
      ["doctor", "--ignore", "tll"],
      /"tll" is not known; did you mean ttl\?; known: .*; see/,
    ],
    [
      "a timeout without a unit that exists",
      ["doctor", "--timeout", "5 years"],
      /^hotset: --timeout must be from 1 ms/,
    ],
    ["a setting that cannot work", ["doctor", "--url", "http://x"], /^hotset: url: .*; see hotset doctor --help\n$/],
  ])("%s ends with 2 and a sentence", async (_, words, sentence) => {
    const { exitCode, stdout, stderr } = await inProcess(words);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(sentence);
  });

  it.each([
    ["a URL", ["doctor", "--url", "redis://:hunter2@127.0.0.1:1"]],
    ["a URL in place of a command", ["redis://app:hunter2@127.0.0.1:1"]],
    ["a URL of an option that does not exist", ["doctor", "--uri=rediss://app:hunter2@127.0.0.1:1"]],
    ["a URL with a mark of its own in it", ["redis://app:#hunter2@127.0.0.1:1"]],
    ["a URL with a path before its end", ["doctor", "--url", "redis://app:/?hunter2@127.0.0.1:1"]],
    ["a URL in the name of an option", ["doctor", "--redis://app:#hunter2@127.0.0.1:1"]],
    ["an option", ["doctor", "--password", "hunter2"]],
    ["the option of redis-cli", ["doctor", "-a", "hunter2"]],
  ])("a password in %s is refused, and not shown", async (_, words) => {
    const { exitCode, stdout, stderr } = await inProcess(words, { REDIS_URL: "redis://127.0.0.1:1" });
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/password/);
    expect(stderr).not.toContain("hunter2");
  });

  it.each([
    ["a command", ["redis://hunter2"], "a URL of Redis is given with --url <url>, or in REDIS_URL"],
    ["a word", ["doctor", "rediss://hunter2"], "with --url <url>, or in REDIS_URL; see hotset doctor --help"],
    ["a cache", ["ui", "unix:///hunter2"], "with --url <url>, or in REDIS_URL; see hotset ui --help"],
    ["an option", ["doctor", "--redis://hunter2"], "unknown option a URL"],
    ["a word too many", ["stats", `${"x".repeat(60)}redis://hunter2`], "a word too many: a URL"],
  ])("a URL in place of %s is not quoted", async (_, words, sentence) => {
    const { exitCode, stdout, stderr } = await inProcess(words);
    expect([exitCode, stdout, stderr]).toEqual([2, "", expect.stringContaining(sentence)]);
    expect(stderr).not.toContain("hunter2");
  });

  it("--help and --version need no Redis", async () => {
    const version = await hotset(["--version"]);
    expect([version.exitCode, version.stdout]).toEqual([0, `${manifest.version}\n`]);
    const overview = await inProcess(["--help"]);
    expect([overview.exitCode, overview.stdout]).toEqual([0, expect.stringMatching(/^ {2}doctor +finds settings/m)]);
    const one = await inProcess(["doctor", "--help"]);
    expect([one.exitCode, one.stdout]).toEqual([0, expect.stringMatching(/--sample <n> /)]);
    expect((await inProcess(["help", "doctor"])).stdout).toBe(one.stdout);
  });

  it("settings come from a file of variables; those of the process count more", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hotset-cli-"));
    await using server = await startOwnRedis({ password: "hunter2", config: ["maxmemory 100mb"] });
    writeFileSync(join(folder, "env"), `REDIS_PORT=${server.port}\nREDIS_HOST=127.0.0.1\nREDIS_PASSWORD=hunter2\n`);
    try {
      const found = await inProcess(["doctor", "--env-file", join(folder, "env")]);
      expect([found.exitCode, found.stderr]).toEqual([0, ""]);
      const wrong = await inProcess(["doctor", "--env-file", join(folder, "env")], { REDIS_PASSWORD: "hunter3" });
      expect([wrong.exitCode, wrong.stdout]).toEqual([3, ""]);
      expect(wrong.stderr).toMatch(/WRONGPASS [^.;]*; check username and password/);
      const absent = await hotset(["doctor", "--env-file", join(folder, "absent")]);
      // Node 24 reads an option of this name itself, wherever it stands, and ends with 9.
      expect([2, 9]).toContain(absent.exitCode);
      expect([absent.stdout, absent.stderr]).toEqual(["", expect.stringContaining(join(folder, "absent"))]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("a Redis that is away, or switched off, is a sentence", async () => {
    const unreachable = await inProcess(["doctor"], { REDIS_URL: "redis://127.0.0.1:1" });
    expect([unreachable.exitCode, unreachable.stdout]).toEqual([3, ""]);
    expect(unreachable.stderr).toMatch(/^hotset: Redis at 127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED.*\n$/);
    const off = await inProcess(["doctor"], { ENABLE_REDIS: "false" });
    expect([off.exitCode, off.stderr]).toEqual([2, expect.stringMatching(/^hotset: ENABLE_REDIS is off/)]);
  });
});

describe("a password that is missing", () => {
  it.each([["doctor"], ["stats"], ["get", "shop", "p:1"], ["queue"], ["watch", "keys"]])(
    "ends with 3 and one sentence that says where to set it: %s %s",
    async (...words) => {
      await using server = await startOwnRedis({ password: "hunter2" });
      const refused = await inProcess(words, { REDIS_URL: `redis://127.0.0.1:${server.port}` });
      expect([refused.exitCode, refused.stdout]).toEqual([3, ""]);
      expect(refused.stderr).toMatch(
        /^hotset: set REDIS_PASSWORD, .*: Redis at 127\.0\.0\.1:\d+ cannot be used: NOAUTH .*\n$/,
      );
    },
  );
});

describe("the help", () => {
  it("fits into a terminal of 80 columns", async () => {
    for (const words of [
      [],
      ...[
        "doctor",
        "capacity",
        "stats",
        "get",
        "keys",
        "namespaces",
        "tag",
        "delete",
        "stale",
        "clear",
        "purge",
        "queue",
        "locks",
        "watch",
      ].map((name) => [name]),
    ])
      for (const line of (await inProcess([...words, "--help"])).stdout.split("\n"))
        expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it("names all that exit codes 1 and 3 are for", async () => {
    const stdout = (await inProcess(["--help"])).stdout.replace(/\s+/g, " ");
    expect(stdout).toContain("1 doctor has findings of --fail-on, or what was asked for is not there");
    expect(stdout).toContain("3 Redis could not be reached, did not answer in time, or refused the login");
  });

  it("is named by a wrong argument: that of the command", async () => {
    expect((await inProcess(["watch"])).stderr).toMatch(/; see hotset watch --help\n$/);
    expect((await inProcess(["docter"])).stderr).toMatch(/; see hotset --help\n$/);
  });
});

describe("Ctrl-C", () => {
  it("before the end gives 130, and prints nothing", async () => {
    await using server = await startOwnRedis();
    for (const words of [["doctor"], ["keys"]])
      expect(await inProcess(words, { REDIS_URL: server.url }, AbortSignal.abort())).toEqual({
        exitCode: 130,
        stdout: "",
        stderr: "",
      });
  });
});

describe("Ctrl-C while Redis does not answer", () => {
  it("ends the wait for a connection", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const ctrlC = new AbortController();
    silent.once("connection", () => ctrlC.abort());
    const run = inProcess(["stats", "--timeout", "10m"], { REDIS_URL: `redis://127.0.0.1:${port}` }, ctrlC.signal);
    expect(await run).toEqual({ exitCode: 130, stdout: "", stderr: "" });
    silent.close();
  });
});

describe("a reader that has had enough", () => {
  it("ends the program quietly", async () => {
    await using server = await startOwnRedis();
    const script = `"${process.execPath}" --conditions=@hotset/source "${BIN}" doctor --json; echo "exit $?" >&2`;
    const child = spawn("sh", ["-c", `{ ${script}; } | true`], {
      env: { PATH: process.env["PATH"], REDIS_URL: server.url },
    });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    await new Promise((resolve) => child.once("close", resolve));
    expect(stderr).toBe("exit 0\n");
  });
});

describe("secrets", () => {
  it("are in no output of wrong arguments and wrong passwords", () => {
    expect(printed.length).toBeGreaterThan(20);
    expect(printed.join("\n")).not.toMatch(/hunter/);
  });
});
