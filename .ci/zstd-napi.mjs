// Compiles zstd-napi where the install could not, or ran without build scripts: its own tests, fuzz and benchmarks need
// it. Everything else compresses by node:zlib there, as `zstd()` does where zstd-napi is not installed.

import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { cleanEnvironment } from "./environment.mjs";

const require = createRequire(new URL("../packages/formats/package.json", import.meta.url));

function isCompiled() {
  try {
    require("zstd-napi/binding");
    return true;
  } catch {
    return false;
  }
}

if (!isCompiled()) {
  const { status, stdout, stderr, error } = spawnSync("npm", ["run", "install"], {
    cwd: dirname(require.resolve("zstd-napi/package.json")),
    env: cleanEnvironment(),
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (status !== 0 || !isCompiled()) {
    console.error(
      `zstd-napi was not compiled, which takes a C++ compiler, make and Python:\n${stdout}${stderr}${error ?? ""}`,
    );
    process.exitCode = 1;
  }
}
