/** The version of this package, from its `package.json`; `unknown` where a bundler has moved this file from it. */
export const VERSION: string = readVersion();

function readVersion(): string {
  // Next to `dist`, and two folders above this source.
  for (const path of ["../package.json", "../../package.json"])
    try {
      const { readFileSync } = process.getBuiltinModule("node:fs");
      const manifest = JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as Record<string, unknown>;
      if (manifest["name"] === "@hotset/core") return String(manifest["version"]);
    } catch {
      // The next place.
    }
  return "unknown";
}
