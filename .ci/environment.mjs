// The environment in which packages are installed and compiled.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

/** Where an earlier install puts its tools, and its Node. */
const OF_AN_INSTALL = [join("node_modules", ".bin"), join("node_modules", "node", "bin")];

/**
 * Without npm's own variables: inherited, they would make pnpm and node-gyp believe that they run inside npm. And
 * without the Node of an earlier install, which npm puts first on the PATH, and which has no headers: each install runs
 * under the Node of the machine, as the first one did.
 */
export function cleanEnvironment() {
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
