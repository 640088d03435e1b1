// Runs one command as on a machine that has git, Node, npm and the tools of its system, and nothing that the tests
// could happen to find next to them:
//
//   node .ci/bare.mjs npm test
//
// HOME is new and empty. PATH is one folder of links to the programs of the system, without servers, containers,
// databases, browsers and other package managers. The environment keeps the settings that reach the network. So a test
// that leans on one machine fails on the next one that runs it. The exit code of the command is passed on, and signals
// are passed to it.

import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { constants as system, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const HIDDEN = new RegExp(
  [
    "^(redis|valkey|keydb|dragonfly|memcached|sentinel)([-_.\\d]|$)",
    "^(docker|dockerd|podman|nerdctl|containerd|runc|crun|buildah)([-_.\\d]|$)",
    "^(psql|postgres|pg_|pgbench|mysql|mariadb|mongo|sqlite3)",
    "^(chrom(e|ium)|google-chrome|firefox|microsoft-edge)",
    "^(pnpm|pnpx|yarn|yarnpkg|corepack|bun|bunx|deno)$",
  ].join("|"),
);
const KEPT = /^(TERM|LANG|LC_ALL|TZ|TMPDIR|CI|TURBO_FORCE|HOTSET_\w+|\w+_proxy|\w*(SSL|TLS|CURL)_\w+|\w+_CA_CERTS)$/i;
/** Where npm finds packages. */
const SETTINGS = ["registry", "proxy", "https-proxy", "noproxy", "cafile"];

const [program, ...parameters] = process.argv.slice(2);
if (program === undefined) {
  console.error("usage: node .ci/bare.mjs <command> [arguments...]");
  process.exit(1);
}
const top = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), "hotset-bare-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const home = join(folder, "home");
mkdirSync(home);

// Before the start: a signal that came between would end this process alone.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
const child = spawn(program, parameters, {
  env: {
    ...keptVariables(),
    ...npmSettings(),
    HOME: home,
    PATH: linkPrograms(join(folder, "bin")),
    // The clone may belong to another user; without a HOME nothing says that git may read it.
    ...{ GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: "safe.directory", GIT_CONFIG_VALUE_0: top },
  },
  stdio: "inherit",
});
child.on("error", (error) => {
  console.error(`${program} could not be started: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + system.signals[signal]));

function keptVariables() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => KEPT.test(name)));
}

/** The settings in the user's own files, which are out of sight below. */
function npmSettings() {
  const { stdout } = spawnSync("npm", ["config", "get", ...SETTINGS], { encoding: "utf8", stdio: "pipe" });
  return Object.fromEntries(
    (stdout ?? "").split("\n").flatMap((line) => {
      const [, name, value] = /^([\w-]+)=(.+)$/.exec(line.trim()) ?? [];
      return name === undefined || ["null", "undefined"].includes(value)
        ? []
        : [[`npm_config_${name.replaceAll("-", "_")}`, value]];
    }),
  );
}

/** The first program of each name, as a PATH would find it. The folder of Node comes first, wherever it is. */
function linkPrograms(into) {
  mkdirSync(into);
  const linked = new Set();
  for (const from of [dirname(process.execPath), ...SYSTEM_FOLDERS]) {
    for (const name of namesIn(from)) {
      if (linked.has(name) || HIDDEN.test(name) || !isProgram(join(from, name))) continue;
      symlinkSync(join(from, name), join(into, name));
      linked.add(name);
    }
  }
  return into;
}

function namesIn(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
