/**
 * Breaks one rule at a time and runs the tests that name the promise it keeps: one of them must fail.
 *
 *     npm run mutants                 all
 *     npm run mutants -- fence        those whose name contains "fence"
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { MUTANTS, type Mutant } from "./mutants.ts";

interface Report {
  readonly numTotalTests: number;
  readonly testResults: readonly { readonly message: string; readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[] }[];
}

const top = resolve(import.meta.dirname, "../../..");
const wanted = process.argv.slice(2);
const chosen = MUTANTS.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
if (chosen.length === 0) {
  console.error(`no mutant is named like ${wanted.join(", ")}; there are:\n${MUTANTS.map(({ name }) => `  ${name}`).join("\n")}`);
  process.exit(1);
}

const folder = await mkdtemp(join(tmpdir(), "hotset-mutants-"));
let survived = 0;
const queue = [...chosen];
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
  for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
    const startedAt = performance.now();
    const verdict = await judge(mutant);
    if (verdict.survived) survived += 1;
    console.log(`${verdict.survived ? "SURVIVED" : "caught  "}  ${mutant.name}  (${Math.round(performance.now() - startedAt)} ms)\n            ${verdict.by}`);
  }
}));
await rm(folder, { recursive: true });
console.log(`${chosen.length - survived} passed, ${survived} failed`);
process.exit(survived === 0 ? 0 : 1);

/** Caught by a test whose title names the promise; a crash of the whole run is no catch. */
async function judge(mutant: Mutant): Promise<{ readonly survived: boolean; readonly by: string }> {
  const output = join(folder, `${MUTANTS.indexOf(mutant)}.json`);
  const log = await vitest(mutant, output);
  let report: Report;
  try {
    report = JSON.parse(await readFile(output, "utf8")) as Report;
  } catch {
    return { survived: true, by: `no test ran: ${log.trim().split("\n").slice(-5).join(" | ")}` };
  }
  const names = new RegExp(`\\b(?:${mutant.promises.join("|")})\\b`);
  const named = report.testResults.flatMap(({ assertionResults }) => assertionResults).filter(({ fullName }) => names.test(fullName));
  const failed = named.filter(({ status }) => status === "failed");
  if (failed.length > 0) return { survived: false, by: failed[0].fullName };
  const broken = report.testResults.find(({ assertionResults }) => assertionResults.length === 0);
  const ran = named.filter(({ status }) => status === "passed").length;
  return { survived: true, by: broken === undefined ? `${ran} tests name ${mutant.promises.join(", ")}, and all passed` : broken.message };
}

function vitest(mutant: Mutant, output: string): Promise<string> {
  const child = spawn(process.execPath, [
    join(top, "node_modules/vitest/vitest.mjs"), "run",
    "--config", join(import.meta.dirname, "vitest.config.ts"),
    "--reporter=json", `--outputFile=${output}`,
    "--testNamePattern", `\\b(${mutant.promises.join("|")})\\b`,
    "--bail=1", "--testTimeout=4000", "packages/acceptance/test", "packages/core/src",
  ], { cwd: top, env: { ...process.env, HOTSET_MUTANT: mutant.name }, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stdout.on("data", (chunk: Buffer) => (log += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  return new Promise((done) => child.on("close", () => done(log)));
}
