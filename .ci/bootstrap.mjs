// Brings what the workspace needs to a machine that has git, Node >= 20 and npm, then runs one command:
//
//   node .ci/bootstrap.mjs -- <command> [arguments...]
//
// For that command `node` is the version pinned in package.json (the npm package "node"); `pnpm` and the tools of the
// workspace are on the PATH. Its exit code is passed on; SIGINT, SIGTERM and SIGHUP are passed to it, and its end is
// awaited. npm sends signals to the shell in between: where that shell ends by one without passing it on, the command
// is ended as soon as its parent is gone.

import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanEnvironment } from "./environment.mjs";

const OLDEST_NODE = 20;
const PARENT_EVERY_MS = 500;
/** There npm and the tools are batch files, which only a shell starts. */
const isWindows = process.platform === "win32";
const top = dirname(dirname(fileURLToPath(import.meta.url)));
const parent = process.ppid;

const [separator, command, ...commandArguments] = process.argv.slice(2);
if (separator !== "--" || command === undefined) {
  fail("usage: node .ci/bootstrap.mjs -- <command> [arguments...]");
}
if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
  fail(`This workspace is started with Node ${OLDEST_NODE} or later; this is ${process.versions.node}.`);
}

const { packageManager } = JSON.parse(readFileSync(join(top, "package.json"), "utf8"));
const environment = cleanEnvironment();
install();
await run();

function install() {
  // npm warns of nodedir, which is meant for node-gyp.
  const npx = ["npx", "--yes", "--loglevel=error"];
  const installed = runToEnd([...npx, packageManager, "install", "--frozen-lockfile"], "inherit");
  if (installed.status !== 0) fail(`Installing the dependencies failed: ${packageManager} install --frozen-lockfile`);

  // npx in between would lose exit codes after a signal, so only its PATH is used.
  const path = runToEnd(
    [...npx, `--package=${packageManager}`, "-c", 'node -p "process.env.PATH"'],
    ["ignore", "pipe", "inherit"],
  );
  if (path.status !== 0) fail(`npx did not find ${packageManager}`);
  environment.PATH = [join(top, "node_modules/.bin"), path.stdout.trim()].join(delimiter);
}

function runToEnd([program, ...rest], stdio) {
  return spawnSync(program, quoted(rest), { cwd: top, env: environment, stdio, encoding: "utf8", shell: isWindows });
}

/** As cmd.exe takes them. */
function quoted(words) {
  if (!isWindows) return words;
  return words.map((word) => (/[\s"]/.test(word) ? `"${word.replaceAll('"', '\\"')}"` : word));
}

/** In its own process group, so that Ctrl-C, which reaches npm's whole group, arrives at the command once. */
async function run() {
  const child = spawn(command, quoted(commandArguments), {
    cwd: top,
    env: environment,
    stdio: "inherit",
    detached: !isWindows,
    shell: isWindows,
  });

  const forwarded = new Map();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to npm and to this process, and npm passes its own on: one press, two signals.
      const now = performance.now();
      if (now - (forwarded.get(signal) ?? -Infinity) < 250) return;
      forwarded.set(signal, now);
      child.kill(signal);
    });
  }
  const orphaned = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(orphaned);
    child.kill("SIGTERM");
  }, PARENT_EVERY_MS);
  orphaned.unref();

  process.exitCode = await new Promise((resolve) => {
    child.on("error", (error) => fail(`${command} could not be started: ${error.message}`));
    child.on("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
