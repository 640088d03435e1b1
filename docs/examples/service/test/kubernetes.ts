import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { CronJob } from "kubernetes-models/batch/v1/CronJob";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";
import { PersistentVolumeClaim } from "kubernetes-models/v1/PersistentVolumeClaim";
import { Secret } from "kubernetes-models/v1/Secret";
import { Service } from "kubernetes-models/v1/Service";
import { parseAllDocuments } from "yaml";
import { runToEnd, type Result } from "./programs.ts";
import { here, top } from "./variables.ts";

export type Manifest = { readonly apiVersion: string; readonly kind: string } & Readonly<Record<string, unknown>>;

interface Kind {
  /** Checks types and required fields by the schema of the kind. */
  readonly model: new (manifest: never) => { validate(): void };
  /** Its module has the type `I<kind>`, which knows all fields. */
  readonly module: string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  ConfigMap: { model: ConfigMap, module: "v1/ConfigMap" },
  CronJob: { model: CronJob, module: "batch/v1/CronJob" },
  Deployment: { model: Deployment, module: "apps/v1/Deployment" },
  PersistentVolumeClaim: { model: PersistentVolumeClaim, module: "v1/PersistentVolumeClaim" },
  PodDisruptionBudget: { model: PodDisruptionBudget, module: "policy/v1/PodDisruptionBudget" },
  Secret: { model: Secret, module: "v1/Secret" },
  Service: { model: Service, module: "v1/Service" },
};

/** Read as Kubernetes does, by YAML 1.1: there 0440 is octal. @throws for a document that is not YAML. */
export function manifestsIn(text: string): readonly Manifest[] {
  return parseAllDocuments(text, { version: "1.1" }).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]!;
    return document.toJS() as Manifest;
  });
}

/**
 * Schemas of Kubernetes allow unknown fields, its types do not: so the manifests are checked by both.
 *
 * @throws for a value that the schema of its kind refuses.
 * @returns what the compiler said of fields and values
 */
export async function check(manifests: readonly Manifest[]): Promise<Result> {
  const lines = manifests.map((manifest, index) => {
    const kind = KINDS[manifest.kind];
    if (kind === undefined) throw new Error(`KINDS lacks ${manifest.kind}`);
    new kind.model(manifest as never).validate();
    const type = `import("kubernetes-models/${kind.module}").I${manifest.kind}`;
    return `export const manifest${index}: ${type} = ${JSON.stringify(manifest, null, 2)};`;
  });
  const folder = join(here, "node_modules/.cache", `manifests-${process.pid}`);
  await mkdir(folder, { recursive: true });
  try {
    await writeFile(join(folder, "manifests.ts"), lines.join("\n"));
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--types", ""];
    const tsc = join(top, "node_modules/.bin/tsc");
    return await runToEnd([tsc, "--ignoreConfig", ...options, join(folder, "manifests.ts")]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A hash of names and contents of all files of a chart. */
export function digestOfChart(folder: string): string {
  const hash = createHash("sha256");
  const files = globSync("**/*", { cwd: folder, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const path of files.map(({ parentPath, name }) => join(parentPath, name)).toSorted())
    hash.update(`${path.slice(folder.length)}\0${readFileSync(path, "utf8")}\0`);
  return hash.digest("hex");
}
