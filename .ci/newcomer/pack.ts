import { execFileSync, spawnSync } from "node:child_process";
import { globSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Packed, PackedOf } from "./registry.ts";

/** Builds and packs every published package. @param top the folder of the workspace. */
export function pack(top: string): readonly Packed[] {
  const built = spawnSync("turbo", ["run", "build", "--output-logs=errors-only"], { cwd: top, encoding: "utf8" });
  if (built.status !== 0) throw new Error(`the build failed\n${built.stdout}${built.stderr}`);
  const folder = join(top, ".reports/newcomer");
  rmSync(folder, { recursive: true, force: true });
  return publicPackages(top).map((cwd) => {
    const output = execFileSync("pnpm", ["pack", "--json", "--pack-destination", folder], { cwd, encoding: "utf8" });
    const { filename } = JSON.parse(output) as { filename: string };
    const manifest = execFileSync("tar", ["-xzOf", filename, "package/package.json"], { encoding: "utf8" });
    return { tarball: filename, manifest: JSON.parse(manifest) as Packed["manifest"] };
  });
}

/** Their folders. @param top the folder of the workspace. */
export function publicPackages(top: string): readonly string[] {
  const manifests = globSync("packages/*/package.json", { cwd: top }).toSorted();
  const isPublic = (path: string): boolean => !readFileSync(join(top, path), "utf8").includes('"private": true');
  return manifests.filter(isPublic).map((path) => dirname(join(top, path)));
}

/** These packages, by their names. */
export const byName =
  (packed: readonly Packed[]): PackedOf =>
  (name) =>
    packed.filter(({ manifest }) => manifest.name === name);

/** The registry that npm is configured with; ends with a slash. */
export function upstream(): string {
  const url = execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim();
  return url.endsWith("/") ? url : `${url}/`;
}
