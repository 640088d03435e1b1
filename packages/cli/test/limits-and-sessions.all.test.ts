import { createRedis } from "@hotset/redis-toolkit";
import { fixedWindow, rateLimit, slidingLog } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { inProcess, json, table } from "./hotset.ts";

const server = await startOwnRedis();
const variables = { REDIS_URL: server.url };
afterAll(() => server.stop());
afterEach(() => server.command("FLUSHALL"));

describe("hotset limits", () => {
  it("lists who has used how much, the most first, of one limit or of all", async () => {
    await using redis = createRedis({ url: server.url, env: false, commandTimeout: "15s", connectTimeout: "15s" });
    const api = rateLimit(redis, { name: "api", deadline: "15s", rules: [fixedWindow({ limit: 10, window: "1h" })] });
    const logs = rateLimit(redis.tenant("acme"), {
      name: "logs",
      deadline: "15s",
      rules: [slidingLog({ limit: 9, window: "1h" })],
    });
    for (const key of ["10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.2"]) await api.consume(key);
    for (let i = 0; i < 2; i += 1) await logs.consume("a{b}:c");
    const all = await json<{ limits: Record<string, unknown>[] }>(["limits"], variables);
    expect(all.exitCode).toBe(0);
    expect(all.limits.map(({ limit, key, used }) => [limit, key, used])).toEqual([
      ["api", "10.0.0.2", 3],
      ["logs", "a{b}:c", 2],
      ["api", "10.0.0.1", 1],
    ]);
    expect((await json<{ limits: object[] }>(["limits", "api"], variables)).limits.length).toBe(2);
    expect((await json<{ limits: object[] }>(["limits", "--tenant", "acme"], variables)).limits.length).toBe(1);
    const { stdout } = await inProcess(["limits", "logs"], variables);
    expect(table(stdout)[1]).toMatch(/^logs \| a\{b\}:c \| sliding-log \| 2 \| (?:59 min|1 h)/);
  });

  it("finds none: 0 for a list, 1 for a name", async () => {
    expect(await json(["limits"], variables)).toMatchObject({ exitCode: 0, isComplete: true, limits: [] });
    expect((await inProcess(["limits", "api"], variables)).exitCode).toBe(1);
    expect((await inProcess(["limits", "api", "more"], variables)).exitCode).toBe(2);
  });
});

describe("hotset sessions", () => {
  it("counts them, and names the users that have most", async () => {
    await using redis = createRedis({ url: server.url, env: false, commandTimeout: "15s", connectTimeout: "15s" });
    const own = sessions<{ name: string }>(redis, { idle: "1h" });
    for (const userId of ["ada", "ada", "bob:1"]) await own.create({ userId });
    const anonymous = await own.create();
    const found = await json<Record<string, unknown>>(["sessions"], variables);
    expect(found).toMatchObject({ exitCode: 0, isComplete: true, sessions: 4, withoutEnd: 0, users: 2 });
    expect(found["most"]).toEqual([
      { user: "ada", sessions: 2 },
      { user: "bob:1", sessions: 1 },
    ]);
    expect(found["nextEndMs"]).toBeGreaterThan(3_000_000);
    const { stdout } = await inProcess(["sessions"], variables);
    expect(table(stdout)).toContain("ada | 2");
    expect(stdout).not.toContain(anonymous.id.slice(5));
    expect(await json(["sessions", "--tenant", "acme"], variables)).toMatchObject({ sessions: 0, users: 0 });
  });
});
