// The scripts of docs/operations, run against a server with redis-durable.conf, until what was stored is read again.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { streams } from "@hotset/redis-toolkit/streams";
import { type AclRedis, redisPrograms, startAclRedis } from "@hotset/test-servers";
import type { ICronJob } from "kubernetes-models/batch/v1/CronJob";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { manifestsIn } from "./kubernetes.ts";
import { runToEnd, type Result } from "./programs.ts";
import { here, top } from "./variables.ts";

const operations = join(top, "docs/operations");
const linesOf = (file: string): readonly string[] =>
  readFileSync(join(operations, file), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));

let folder: string;
let env: Readonly<Record<string, string>>;
let server: AclRedis;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-backup-"));
  env = { PATH: `${await redisPrograms(join(folder, "bin"))}:/usr/bin:/bin` };
  await mkdir(join(folder, "backups"));
  await writeFile(join(folder, "password"), "secret\n");
  const user = linesOf("users.acl").find((line) => line.startsWith("user backup "))!;
  server = await startAclRedis({
    config: [...linesOf("redis-durable.conf"), "repl-diskless-sync-delay 0"],
    users: [user.replace("CHANGE-ME", "secret")],
  });
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const backups = async (): Promise<readonly string[]> => (await readdir(join(folder, "backups"))).toSorted();

const backUp = (more: Readonly<Record<string, string>> = {}): Promise<Result> =>
  runToEnd(["/bin/sh", join(operations, "backup.sh")], {
    ...env,
    REDIS_PORT: `${server.port}`,
    REDIS_USERNAME: "backup",
    REDIS_PASSWORD_FILE: join(folder, "password"),
    BACKUP_DIR: join(folder, "backups"),
    ...more,
  });

const restore = (snapshot: string, into: string): Promise<Result> =>
  runToEnd(["/bin/sh", join(operations, "restore.sh"), snapshot, into], env);

const connect = (): Redis => createRedis({ url: server.url, envFile: false });

/** Every key with its value and the instant of its end. */
async function contents(): Promise<ReadonlyMap<string, string>> {
  const keys = (await server.command("KEYS", "*")) as readonly string[];
  const entries = keys.toSorted().map(async (key): Promise<[string, string]> => {
    const value = createHash("sha256")
      .update(await valueOf(key))
      .digest("hex");
    return [key, `${value} ${String(await server.command("PEXPIRETIME", key))}`];
  });
  return new Map(await Promise.all(entries));
}

/** As the server dumps it, but for hashes: the order of their fields differs from one start of a server to the next. */
async function valueOf(key: string): Promise<Uint8Array | string> {
  if ((await server.command("TYPE", key)) !== "hash") return (await server.commandBytes("DUMP", key)) as Uint8Array;
  const flat = (await server.command("HGETALL", key)) as readonly string[];
  const fields = Array.from({ length: flat.length / 2 }, (_, i) => JSON.stringify([flat[2 * i], flat[2 * i + 1]]));
  return fields.toSorted().join("\n");
}

describe("R3-13 R3-18: a backup", () => {
  it("is restored to a new server with every key, value and end, and its modules go on", async () => {
    let sessionId: string;
    let jobId: string;
    {
      await using redis = connect();
      jobId = (await queue<number>(redis, "orders", { keep: { completed: 10 } }).add(7)).id;
      await queue<number>(redis, "orders").add(8, { delay: "1h" });
      sessionId = (await sessions(redis).create({ userId: "ada", data: { theme: "dark" } })).id;
      await streams(redis).stream("events:payments").append({ amount: "12.50" });
      await redis.commands.set("plain", "value");
    }
    const before = await contents();
    expect(before.size).toBeGreaterThan(5);
    const made = await backUp();
    expect(made.code, made.output).toBe(0);
    const [snapshot] = await backups();
    expect(made.output).toContain("RDB looks OK");
    expect(made.output).toContain(`${join(folder, "backups", snapshot!)}\n`);

    await server.command("SET", "after the backup", "lost");
    await server.kill();
    // The disk is gone, but for what the tests keep there.
    await rm(join(server.directory, "appendonlydir"), { recursive: true });
    await rm(join(server.directory, "dump.rdb"), { force: true });
    const data = join(folder, "data");
    await mkdir(data);
    const restored = await restore(join(folder, "backups", snapshot!), data);
    expect(restored.code, restored.output).toBe(0);
    expect(restored.output).toContain(`${before.size} keys of database 0`);
    await cp(data, server.directory, { recursive: true });
    await server.start();
    expect(await contents()).toEqual(before);
    expect(await server.command("CONFIG", "GET", "appendonly")).toEqual(["appendonly", "yes"]);

    await using redis = connect();
    const jobs = queue<number>(redis, "orders", { keep: { completed: 10 } });
    expect(await jobs.counts()).toMatchObject({ waiting: 1, delayed: 1 });
    const worker = jobs.worker((job) => Promise.resolve(job.data * 2));
    expect(await jobs.finished(jobId)).toMatchObject({ status: "completed", result: 14 });
    await worker.stop();
    expect(await sessions(redis).read(sessionId)).toMatchObject({ userId: "ada", data: { theme: "dark" } });
    expect(await streams(redis).stream("events:payments").range()).toMatchObject([{ fields: { amount: "12.50" } }]);
  });

  it("leaves no file where it failed, and removes none then", async () => {
    const [kept] = await backups();
    const wrong = join(folder, "wrong");
    await writeFile(wrong, "wrong");
    expect((await backUp({ REDIS_PASSWORD_FILE: wrong, BACKUP_KEEP: "1" })).code).not.toBe(0);
    expect((await backUp({ REDIS_PORT: "1", BACKUP_KEEP: "1" })).code).not.toBe(0);
    expect(await backUp({ BACKUP_KEEP: "0" })).toMatchObject({ code: 2 });
    expect(await backups()).toEqual([kept]);
    await rm(wrong);
  });

  it("keeps the newest ones", async () => {
    const [newest] = await backups();
    const folderOf = join(folder, "backups");
    for (const old of ["redis-20200101T000000Z.rdb", "redis-20210101T000000Z.rdb"])
      await cp(join(folderOf, newest!), join(folderOf, old));
    await rename(join(folderOf, newest!), join(folderOf, "redis-20220101T000000Z.rdb"));
    await writeFile(join(folderOf, "another file"), "");
    expect((await backUp({ BACKUP_KEEP: "2" })).code).toBe(0);
    const left = await backups();
    expect(left).toHaveLength(3);
    expect(left.slice(0, 2)).toEqual(["another file", "redis-20220101T000000Z.rdb"]);
  });

  it("that is damaged is refused, and nothing is left", async () => {
    const snapshot = join(folder, "damaged.rdb");
    const name = (await backups()).at(-1)!;
    const bytes = await readFile(join(folder, "backups", name));
    bytes[bytes.length >> 1]! ^= 0xff;
    await writeFile(snapshot, bytes);
    const into = join(folder, "new");
    await mkdir(into);
    expect((await restore(snapshot, into)).code).not.toBe(0);
    expect(await readdir(into)).toEqual([]);
    await writeFile(join(into, "appendonly.aof"), "of a server");
    const refused = await restore(join(folder, "backups", name), into);
    expect([refused.code, refused.output]).toEqual([2, `${into} must be empty: move what is there away first\n`]);
    expect(await readdir(into)).toEqual(["appendonly.aof"]);
  });

  it("needs no more rights than the user backup has, and gives no others", async () => {
    await server.command("ACL", "LOG", "RESET");
    expect((await backUp()).code).toBe(0);
    expect(await server.command("ACL", "LOG")).toEqual([]);
    await using redis = createRedis({ url: server.urlOf("backup", "secret"), envFile: false });
    const refused = { code: "NO_PERMISSION" };
    await expect(redis.commands.get("plain")).rejects.toMatchObject(refused);
    await expect(redis.commands.set("plain", "v")).rejects.toMatchObject(refused);
    await expect(redis.commands.send(["FLUSHALL"])).rejects.toMatchObject(refused);
  });
});

describe("R3-13: the job of Kubernetes", () => {
  const cronJob = manifestsIn(readFileSync(join(here, "kubernetes/backup.yaml"), "utf8")).find(
    ({ kind }) => kind === "CronJob",
  ) as unknown as ICronJob;
  const pod = cronJob.spec.jobTemplate.spec!.template.spec!;
  const container = pod.containers[0]!;

  it("runs the script with variables that it reads, and writes where the volume is", () => {
    const script = readFileSync(join(operations, "backup.sh"), "utf8");
    const read = new Set(script.match(/\b(?:REDIS|BACKUP)_[A-Z_]+\b/g));
    const set = container.env!.map(({ name }) => name);
    expect(set.filter((name) => !read.has(name))).toEqual([]);
    const value = (name: string): string => container.env!.find((variable) => variable.name === name)!.value!;
    const mountOf = (name: string): string => container.volumeMounts!.find((mount) => mount.name === name)!.mountPath;
    expect(container.command).toEqual(["sh", `${mountOf("scripts")}/backup.sh`]);
    expect(value("BACKUP_DIR")).toBe(mountOf("backups"));
    expect(value("REDIS_PASSWORD_FILE")).toBe(`${mountOf("secrets")}/backup`);
    expect(pod.volumes!.map(({ name }) => name).toSorted()).toEqual(["backups", "scripts", "secrets"]);
  });

  it("is bounded, runs alone, and has no rights", () => {
    expect(cronJob.spec).toMatchObject({ concurrencyPolicy: "Forbid", jobTemplate: { spec: { backoffLimit: 2 } } });
    expect(cronJob.spec.jobTemplate.spec!.activeDeadlineSeconds).toBe(1_800);
    expect([pod.restartPolicy, pod.automountServiceAccountToken]).toEqual(["Never", false]);
    expect(container.securityContext).toMatchObject({
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });
});
