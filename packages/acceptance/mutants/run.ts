/**
 * Breaks one rule at a time and runs the tests that name the promise it keeps: one of them must fail.
 *
 *     npm run mutants                 all
 *     npm run mutants -- fence        those whose name contains "fence"
 *
 * Before that, each must compile as far as names go (those of the torture run too), and the same tests run over
 * unbroken rules: a test that fails there catches nothing.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { globSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { MUTANTS } from "./all.ts";
import { findBrokenMutants } from "./check.ts";
import type { Mutant } from "./mutant.ts";
import { MUTANTS as PLANTED } from "../torture/mutants.ts";

interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

const top = resolve(import.meta.dirname, "../../..");
const REDIS = "packages/redis";
/**
 * Random histories would catch mutants that no story names. Integration tests need servers or processes, in which no
 * rule is broken.
 */
const UNSUITABLE = /acceptance\/test\/.*(?:random-histories.*|\.integration)\.test\.ts$/;
const AT_ONCE = Math.min(2, availableParallelism());
/** For one mutant; a longer run hangs. */
const LIMIT_MS = 60_000;

const wanted = process.argv.slice(2);
const chosen = MUTANTS.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
if (chosen.length === 0) {
  console.error(
    `no mutant is named like ${wanted.join(", ")}; there are:\n${MUTANTS.map(({ name }) => `  ${name}`).join("\n")}`,
  );
  process.exit(1);
}

const unfit = findBrokenMutants(top, wanted.length === 0 ? [...chosen, ...PLANTED] : chosen);
if (unfit.length > 0) {
  console.error(`these mutants do not compile, so a test would catch them for the wrong reason:\n${unfit.join("\n")}`);
  process.exit(1);
}

const folder = await mkdtemp(join(tmpdir(), "hotset-mutants-"));
const texts = new Map(
  await Promise.all(
    globSync("packages/{acceptance,core,hotset,memory,msgpack,redis,seal}/{src,test}/**/*.test.ts", { cwd: top })
      .filter((file) => !UNSUITABLE.test(file))
      .map(async (file): Promise<[string, string]> => [file, await readFile(join(top, file), "utf8")]),
  ),
);

const running = new Set<ChildProcess>();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.once(signal, () => {
    for (const child of running) stop(child);
    process.exit(1);
  });

const failsAnyway = await unbroken();
let survived = 0;
const queue = [...chosen];
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const startedAt = performance.now();
      const verdict = await judge(mutant);
      if (verdict.survived) survived += 1;
      console.log(
        `${verdict.survived ? "SURVIVED" : "caught  "}  ${mutant.name}  (${Math.round(performance.now() - startedAt)} ms)\n            ${verdict.by}`,
      );
    }
  }),
);
await rm(folder, { recursive: true });
console.log(`${chosen.length - survived} passed, ${survived} failed`);
process.exit(survived === 0 ? 0 : 1);

/** Full names of the tests that fail without any mutant. */
async function unbroken(): Promise<ReadonlySet<string>> {
  const files = new Set(chosen.flatMap(testsOf));
  const promises = [...new Set(chosen.flatMap((mutant) => mutant.promises))];
  const { report, log } = await vitest({
    files: [...files],
    promises,
    more: [`--maxWorkers=${AT_ONCE}`],
    mutant: undefined,
    limitMs: 5 * LIMIT_MS,
  });
  if (report === undefined) throw new Error(`no test ran over unbroken rules: ${log}`);
  const failed = report.testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === "failed");
  for (const { fullName } of failed) console.log(`fails without any mutant: ${fullName}`);
  return new Set(failed.map(({ fullName }) => fullName));
}

/** A test whose title names the promise must catch it; a crash of the whole run does not count. */
async function judge(
  mutant: Mutant,
  runs: "until one fails" | "all" = "until one fails",
): Promise<{ readonly survived: boolean; readonly by: string }> {
  const files = testsOf(mutant);
  if (files.length === 0) return { survived: true, by: `no test names ${mutant.promises.join(", ")}` };
  const { report, log } = await vitest({
    files,
    promises: mutant.promises,
    more: ["--maxWorkers=1", ...(runs === "all" ? [] : ["--bail=1"])],
    mutant,
    limitMs: LIMIT_MS,
  });
  if (report === undefined) return { survived: true, by: `no test ran: ${log}` };
  const names = new RegExp(`\\b(?:${mutant.promises.join("|")})\\b`);
  const named = report.testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ fullName }) => names.test(fullName));
  const failed = named.filter(({ status }) => status === "failed");
  const caught = failed.find(({ fullName }) => !failsAnyway.has(fullName));
  if (caught !== undefined) return { survived: false, by: caught.fullName };
  // The run ended with a test that fails without the mutant too.
  if (runs !== "all" && failed.length > 0) return judge(mutant, "all");
  const broken = report.testResults.find(({ assertionResults }) => assertionResults.length === 0);
  const ran = named.filter(({ status }) => status === "passed").length;
  return {
    survived: true,
    by: broken === undefined ? `${ran} tests name ${mutant.promises.join(", ")}, and all passed` : broken.message,
  };
}

/**
 * The files that name its promises: stories, and the tests of its own package. Mutants of the Redis package run in
 * tests with a real Redis too.
 */
function testsOf({ file, promises }: Mutant): readonly string[] {
  const own = file.split("/", 2).join("/");
  const names = new RegExp(`\\b(?:${promises.join("|")})\\b`);
  return [...texts].flatMap(([test, text]) =>
    names.test(text) && (test.startsWith(`${own}/`) || (test.startsWith("packages/acceptance/") && own !== REDIS))
      ? [test]
      : [],
  );
}

interface Run {
  readonly files: readonly string[];
  readonly promises: readonly string[];
  readonly more: readonly string[];
  readonly mutant: Mutant | undefined;
  readonly limitMs: number;
}

async function vitest({
  files,
  promises,
  more,
  mutant,
  limitMs,
}: Run): Promise<{ readonly report: Report | undefined; readonly log: string }> {
  const output = join(folder, `${randomUUID()}.json`);
  const child = spawn(
    process.execPath,
    [
      join(top, "node_modules/vitest/vitest.mjs"),
      "run",
      "--config",
      join(import.meta.dirname, "vitest.config.ts"),
      "--reporter=json",
      `--outputFile=${output}`,
      "--testNamePattern",
      `\\b(${promises.join("|")})\\b`,
      "--pool=threads",
      "--testTimeout=3000",
      ...more,
      ...files,
    ],
    {
      cwd: top,
      env: {
        ...process.env,
        HOTSET_MUTANT: mutant?.name ?? "",
        HOTSET_MUTANT_REDIS: files.some((file) => file.startsWith(`${REDIS}/test/`)) ? "1" : "",
      },
      stdio: ["ignore", "pipe", "pipe"],
      // A process group of its own, so that what it started ends with it.
      detached: true,
    },
  );
  running.add(child);
  let log = "";
  child.stdout.on("data", (chunk: Buffer) => (log += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const limit = setTimeout(() => stop(child), limitMs);
  await new Promise((done) => child.on("close", done));
  clearTimeout(limit);
  running.delete(child);
  try {
    return { report: JSON.parse(await readFile(output, "utf8")) as Report, log };
  } catch {
    return { report: undefined, log: log.trim().split("\n").slice(-5).join(" | ") };
  }
}

function stop({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, "SIGKILL");
}
