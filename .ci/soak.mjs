// The tests many times over: alone, then beside busy processes. One line for each run.
//
//   npm run tool -- soak                             10 runs alone, then 10 beside 2 busy processes
//   npm run tool -- soak --times 3 --busy 4 vitest   3 runs each of the step vitest alone
//
// Fails if a run does. The output of a failed run goes to the file that its line names.

import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals: steps } = parseArgs({
  allowPositionals: true,
  options: {
    times: { type: "string", default: "10" },
    busy: { type: "string", default: "2" },
  },
});
const times = wholeNumber("times", 1);
const busy = wholeNumber("busy", 0);
const top = dirname(dirname(fileURLToPath(import.meta.url)));
const logs = ".reports/soak";
rmSync(join(top, logs), { recursive: true, force: true });
mkdirSync(join(top, logs), { recursive: true });

/** Without a result of turbo's cache: a run that is not made shows nothing. */
const environment = { ...process.env, TURBO_FORCE: "true" };
/** Ends with this process, which closes its standard input then. */
const BUSY_LOOP = `
  process.stdin.resume().on("end", () => process.exit());
  setInterval(() => { for (const end = Date.now() + 100; Date.now() < end; ); }, 0);
`;
const running = new Set();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => {
    for (const child of running) child.kill(signal);
    process.exit(1);
  });
}

let failed = 0;
for (let run = 1; run <= times; run += 1) await test(`alone ${run}`);
const loops = busy === 0 ? [] : Array.from({ length: busy }, startBusyProcess);
for (let run = 1; run <= times && busy > 0; run += 1) await test(`beside ${busy} busy ${run}`);
for (const loop of loops) loop.kill("SIGKILL");

const runs = busy === 0 ? times : 2 * times;
console.log(`${runs - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function test(name) {
  const began = performance.now();
  const child = start([join(top, ".ci/test.ts"), ...steps]);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  const line = `${name}: ${output.trimEnd().split("\n").at(-1)} in ${((performance.now() - began) / 1000).toFixed(0)} s`;
  if (code === 0) return console.log(line);
  failed += 1;
  const log = `${logs}/${name.replaceAll(" ", "-")}.log`;
  writeFileSync(join(top, log), output);
  console.log(`${line}, see ${log}`);
}

function startBusyProcess() {
  return start(["-e", BUSY_LOOP]);
}

function start(nodeArguments) {
  const child = spawn(process.execPath, nodeArguments, { cwd: top, env: environment });
  running.add(child);
  child.on("close", () => running.delete(child));
  return child;
}

function wholeNumber(option, least) {
  const number = Number(values[option]);
  if (Number.isInteger(number) && number >= least) return number;
  console.error(`--${option} must be a whole number of at least ${least}, got ${JSON.stringify(values[option])}`);
  process.exit(1);
}
