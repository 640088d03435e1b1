// Brings what the workspace needs to a machine that has git, Node >= 20 and npm, then runs one script of package.json:
//
//   node .ci/bootstrap.mjs <script> [arguments...]
//
// Inside that script `node` is the version pinned in package.json (the npm package "node"), and `pnpm` is on the PATH.
// The script's exit code is passed on; SIGINT, SIGTERM and SIGHUP are passed to it, and it is waited for. package.json starts this
// file with `exec`: npm sends signals to the shell in between, and a shell that dies of one tells nobody.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const OLDEST_NODE = 20;
const top = dirname(dirname(fileURLToPath(import.meta.url)));

const [script, ...scriptArguments] = process.argv.slice(2);
if (script === undefined) fail("usage: node .ci/bootstrap.mjs <script> [arguments...]");
if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
  fail(`This workspace is started with Node ${OLDEST_NODE} or later; this is ${process.versions.node}.`);
}

const { packageManager } = JSON.parse(readFileSync(join(top, "package.json"), "utf8"));
const environment = cleanEnvironment();
install();
await run();

/** npm's own variables, inherited, would tell pnpm and node-gyp that they run inside npm. */
function cleanEnvironment() {
  const npmOwn = /^npm_(package_|lifecycle_|execpath$|node_execpath$|command$|config_loglevel$)/i;
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !npmOwn.test(name)));

  // With the headers of the Node that runs now, native add-ons build without downloading any.
  const prefix = dirname(dirname(process.execPath));
  if (existsSync(join(prefix, "include/node/node_api.h"))) kept.npm_config_nodedir = prefix;
  return kept;
}

function install() {
  // npm warns of nodedir, which is meant for node-gyp.
  const npx = ["npx", "--yes", "--loglevel=error"];
  const installed = runToEnd([...npx, packageManager, "install", "--frozen-lockfile"], "inherit");
  if (installed.status !== 0) fail(`Installing the dependencies failed: ${packageManager} install --frozen-lockfile`);

  // pnpm is started directly from here on: npx in between would lose exit codes after a signal.
  const path = runToEnd(
    [...npx, `--package=${packageManager}`, "-c", 'node -p "process.env.PATH"'],
    ["ignore", "pipe", "inherit"],
  );
  if (path.status !== 0) fail(`npx did not find ${packageManager}`);
  environment.PATH = path.stdout.trim();
}

function runToEnd([command, ...rest], stdio) {
  return spawnSync(command, rest, { cwd: top, env: environment, stdio, encoding: "utf8" });
}

/** In a process group of its own, so that Ctrl-C, which reaches npm's whole group, arrives at the script once. */
async function run() {
  const child = spawn("pnpm", ["--silent", "run", script, ...scriptArguments], {
    cwd: top,
    env: environment,
    stdio: "inherit",
    detached: true,
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

  process.exitCode = await new Promise((resolve) => {
    child.on("error", (error) => fail(`pnpm could not be started: ${error.message}`));
    child.on("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
