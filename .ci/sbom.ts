// An SBOM in CycloneDX JSON for each published package, made by pnpm of the lockfile, into .reports/sbom:
//
//   npm run write -- sbom
//
// Lists what an installation brings: dependencies and peers with their own dependencies, and the packages whose code is
// part of ours. Ends with an error if one lacks a package that it must name.

import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { completed, missingFrom, sbomFile, type Manifest, type Sbom } from "./checks/sbom.ts";

const top = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(top, ".reports/sbom");

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const manifests = globSync("packages/*/package.json", { cwd: top })
  .map((path) => JSON.parse(readFileSync(join(top, path), "utf8")) as Manifest)
  .filter((manifest) => manifest.private !== true);
const made = new Map(manifests.map(({ name }) => [name, sbomOf(name, "--prod")]));
const development = manifests.flatMap(({ name }) => sbomOf(name, "--dev").components);

let missing = 0;
for (const manifest of manifests) {
  const sbom = completed(manifest, manifests, made, development);
  const lacking = missingFrom(sbom, manifest);
  writeFileSync(join(folder, sbomFile(manifest.name)), `${JSON.stringify(sbom, undefined, 2)}\n`);
  console.log(`${sbomFile(manifest.name)}: ${sbom.components.length} components`);
  for (const name of lacking) console.error(`  lacks ${name}`);
  missing += lacking.length;
}
process.exitCode = missing === 0 ? 0 : 1;

function sbomOf(name: string, which: "--prod" | "--dev"): Sbom {
  const options = ["--sbom-format", "cyclonedx", "--sbom-spec-version", "1.6", "--no-optional", which];
  const text = execFileSync("pnpm", ["--filter", name, "sbom", ...options], {
    cwd: top,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(text) as Sbom;
}
