// Kubernetes and Helm, as far as they can be checked without them. The templates of the chart were rendered once for
// each state of the chart: its digest stands in the file.

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import type { IDeployment } from "kubernetes-models/apps/v1/Deployment";
import type { IPodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import type { IConfigMap } from "kubernetes-models/v1/ConfigMap";
import type { IContainer } from "kubernetes-models/v1/Container";
import type { IProbe } from "kubernetes-models/v1/Probe";
import type { IService } from "kubernetes-models/v1/Service";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { PATHS, READY_DEADLINE_MS, readSettings } from "../src/settings.ts";
import { check, digestOfChart, manifestsIn, type Manifest } from "./kubernetes.ts";
import { here, knownVariables } from "./variables.ts";

const chart = join(here, "helm/shop");
const textOf = (file: string): string => readFileSync(join(here, file), "utf8");
const rendered = textOf("kubernetes/shop.yaml");
const manifests = manifestsIn(rendered);
const only = <T>(kind: string): T => manifests.filter((manifest) => manifest.kind === kind)[0] as T;

const deployment = only<IDeployment>("Deployment");
const variables = only<IConfigMap>("ConfigMap").data!;
const pod = deployment.spec!.template.spec!;
const container: IContainer = pod.containers[0]!;

describe("R3-12: Kubernetes", () => {
  it("every manifest follows the schema of its kind, and has no field that its kind lacks", async () => {
    const all = globSync("kubernetes/*.yaml", { cwd: here }).flatMap((file) => manifestsIn(textOf(file)));
    expect(all.length).toBeGreaterThan(manifests.length);
    expect(await check(all)).toEqual({ code: 0, output: "" });

    const misspelt = structuredClone(deployment) as unknown as { spec: Record<string, unknown> } & Manifest;
    misspelt.spec["replicaz"] = 3;
    expect((await check([misspelt])).output).toContain("'\"replicaz\"' does not exist");
    misspelt.spec["replicas"] = "3";
    await expect(check([misspelt])).rejects.toThrow("replicas");
  });

  it("sets only variables that are read, with values that are accepted, and mounts their secrets", () => {
    expect(Object.keys(variables).filter((name) => !knownVariables().has(name))).toEqual([]);
    expect(readSettings(variables)).toMatchObject({ port: 3_000, drainDelayMs: 5_000, drainTimeoutMs: 20_000 });
    const [mount] = container.volumeMounts!;
    const files = ["CACHE_REDIS_PASSWORD_FILE", "REDIS_PASSWORD_FILE"].map((name) => variables[name]);
    const [secret] = manifestsIn(textOf("kubernetes/secret.example.yaml"));
    expect(files).toEqual(Object.keys(secret!["stringData"]!).map((name) => `${mount!.mountPath}/${name}`));
    expect(pod.volumes).toEqual([
      { name: mount!.name, secret: { secretName: (secret!["metadata"] as { name: string }).name, defaultMode: 0o440 } },
    ]);
    expect(Object.values(secret!["stringData"]!)).toEqual(["CHANGE-ME", "CHANGE-ME"]);
    // A Service named "redis" would set REDIS_PORT.
    expect(pod.enableServiceLinks).toBe(false);
  });

  it("asks the paths of the service at its port, and leaves each its time", () => {
    const { livenessProbe, readinessProbe, startupProbe } = container as Required<IContainer>;
    const at = (path: string): IProbe["httpGet"] => ({ path, port: "http" });
    expect([startupProbe.httpGet, livenessProbe.httpGet, readinessProbe.httpGet]).toEqual([
      at(PATHS.live),
      at(PATHS.live),
      at(PATHS.ready),
    ]);
    expect(container.ports).toEqual([{ name: "http", containerPort: readSettings(variables).port }]);
    expect(only<IService>("Service").spec!.ports![0]!.targetPort).toBe("http");
    expect(deployment.spec!.template.metadata!.annotations).toMatchObject({
      "prometheus.io/path": PATHS.metrics,
      "prometheus.io/port": variables["PORT"],
    });
    expect(readinessProbe.timeoutSeconds! * 1_000).toBeGreaterThan(READY_DEADLINE_MS);
    // Pods that drain are not ready before they stop listening.
    const noticedMs = readinessProbe.periodSeconds! * readinessProbe.failureThreshold! * 1_000;
    expect(readSettings(variables).drainDelayMs).toBeGreaterThan(noticedMs);
    const graceMs = pod.terminationGracePeriodSeconds! * 1_000;
    expect(graceMs).toBeGreaterThan(readSettings(variables).drainTimeoutMs);
  });

  it("runs three, spread over nodes, of which one may be taken away, with bounds and without rights", () => {
    const budget = only<IPodDisruptionBudget>("PodDisruptionBudget").spec!;
    expect([deployment.spec!.replicas, budget.minAvailable]).toEqual([3, 2]);
    const { matchLabels } = deployment.spec!.selector;
    expect(deployment.spec!.template.metadata!.labels).toMatchObject(matchLabels!);
    for (const selector of [budget.selector, pod.topologySpreadConstraints![0]!.labelSelector])
      expect(selector).toEqual({ matchLabels });
    expect(only<IService>("Service").spec!.selector).toEqual(matchLabels);
    expect(container.resources).toEqual({
      requests: { cpu: "100m", memory: "128Mi" },
      limits: { cpu: "1", memory: "256Mi" },
    });
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(pod.automountServiceAccountToken).toBe(false);
  });
});

describe("R3-12: Helm", () => {
  const values = parse(textOf("helm/shop/values.yaml")) as Readonly<Record<string, object>>;
  const validate = new Ajv().compile(JSON.parse(textOf("helm/shop/values.schema.json")) as object);

  it("shop.yaml is what its templates give", () => {
    // Where this fails: `helm template` again, and write the digest that is received here.
    const digest = /^# Of a chart with the SHA-256 (\w+)$/m.exec(rendered)?.[1];
    expect(digestOfChart(chart), "the chart has changed since shop.yaml was rendered").toBe(digest);
    const sources = Array.from(rendered.matchAll(/^# Source: (.+)$/gm), ([, path]) => path);
    const templates = globSync("templates/*.yaml", { cwd: chart }).map((path) => `shop/${path}`);
    expect(sources.toSorted()).toEqual(templates.toSorted());
  });

  it("its values follow their schema, which refuses what the service would", () => {
    expect([validate(values), validate.errors]).toEqual([true, null]);
    for (const wrong of [
      { ...values, replica: 3 },
      { ...values, replicas: "3" },
      { ...values, image: { ...values["image"], tag: "latest" } },
      { ...values, env: { ...values["env"], REDIS_PASSWORD: "secret" } },
      { ...values, env: { ...values["env"], REDIS_PORT: 6_379 } },
      { ...values, resources: { limits: { memory: "1" }, requests: { memory: "128Mi" } } },
    ])
      expect(validate(wrong)).toBe(false);
  });

  it("uses every value, and no other", () => {
    const templates = globSync("templates/*", { cwd: chart }).map((path) => textOf(`helm/shop/${path}`));
    const used = templates.flatMap((text) => text.match(/(?<=\.Values\.)[\w.]+/g) ?? []);
    const known = Object.entries(values).flatMap(([name, value]) =>
      ["image", "drain"].includes(name) ? Object.keys(value).map((part) => `${name}.${part}`) : [name],
    );
    // As a whole in the checksum, beside its parts.
    expect([...new Set(used)].filter((name) => name !== "drain").toSorted()).toEqual(known.toSorted());
  });

  it("its chart has what Helm asks for", () => {
    expect(parse(textOf("helm/shop/Chart.yaml"))).toMatchObject({
      apiVersion: "v2",
      name: "shop",
      type: "application",
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
    });
  });
});
