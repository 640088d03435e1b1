// Brings what the workspace needs to a machine that has git, Node >= 20 and npm, then runs one command:
//
//   node .ci/bootstrap.mjs -- <command> [arguments...]
//
// For that command `node` is the version pinned in package.json (the npm package "node"); `pnpm` and the tools of the
// workspace are on the PATH. Its exit code is passed on; SIGINT, SIGTERM and SIGHUP are passed to it, and its end is
// awaited. npm sends signals to the shell in between: where that shell ends by one without passing it on, the command
// is ended as soon as its parent is gone.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const OLDEST_NODE = 20;
/** What the tools ask for. */
const NEWER_NODE = 24;
const PARENT_EVERY_MS = 500;
/** Where an earlier install puts its tools, and its Node. */
const OF_AN_INSTALL = [join("node_modules", ".bin"), join("node_modules", "node", "bin")];
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

/**
 * Without npm's own variables: inherited, they would make pnpm and node-gyp believe that they run inside npm. And
 * without the Node of an earlier install, which npm puts first on the PATH, and which has no headers: each install runs
 * under the Node of the machine, as the first one did.
 */
function cleanEnvironment() {
  const npmOwn = /^npm_(package_|lifecycle_|execpath$|node_execpath$|command$|config_loglevel$)/i;
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !npmOwn.test(name)));
  for (const name of Object.keys(kept)) if (/^path$/i.test(name)) delete kept[name];
  kept.PATH = process.env.PATH.split(delimiter)
    .filter((folder) => !OF_AN_INSTALL.some((end) => folder.endsWith(end)))
    .join(delimiter);

  // With the headers of the Node that installs, native add-ons build without downloading any.
  const { stdout } = spawnSync("node", ["-p", "process.execPath"], { env: kept, encoding: "utf8" });
  const prefix = dirname(dirname(stdout ?? process.execPath));
  if (existsSync(join(prefix, "include/node/node_api.h"))) kept.npm_config_nodedir = prefix;
  return kept;
}

function install() {
  // npm warns of nodedir, which is meant for node-gyp.
  const npx = ["npx", "--yes", "--loglevel=error"];
  // Under an older Node pnpm warns of each package that asks for the one that this workspace brings.
  const isOld = Number.parseInt(process.versions.node, 10) < NEWER_NODE;
  if (isOld)
    console.log(`Installing under Node ${process.versions.node}; everything else runs under the Node of package.json.`);
  const words = [...npx, packageManager, "install", "--frozen-lockfile", ...(isOld ? ["--loglevel=error"] : [])];
  const installed = runToEnd(words, "inherit");
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
