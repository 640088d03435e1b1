/** The toolkit over HTTP in workerd, with modules of Node. */
import { join } from "node:path";
import { randomPrefix, startRestProxy, type RestProxy } from "@hotset/test-servers";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { bundleForWorker, startWorkerd, type Workerd } from "./workerd.ts";

let proxy: RestProxy;
let workerd: Workerd | undefined;

const PROGRAM = (url: string, name: string): string => `
import { http } from "@hotset/redis/http";
import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";

const redis = createRedis({ connection: http({ url: "${url}", token: "secret" }), commandTimeout: "20s" });
const limit = rateLimit(redis, { name: "${name}", rules: [fixedWindow({ limit: 2 })], deadline: "20s" });
const auth = sessions(redis, { prefix: "${name}:" });
const CALLS = {
  consume: async () => { const { allowed, degraded } = await limit.consume("u"); return { allowed, degraded }; },
  session: async () => {
    const { id } = await auth.create({ userId: "ada" });
    const { data } = await auth.update(id, { theme: "dark" });
    return { data, ended: await auth.destroyAll("ada"), after: await auth.read(id) ?? null };
  },
  lock: () => locks(redis).using("${name}", { wait: "20s" }, async ({ fence }) => fence > 0),
};
export default {
  async fetch(request) {
    return Response.json(await CALLS[new URL(request.url).pathname.slice(1)]());
  },
};
`;

beforeAll(async () => {
  proxy = await startRestProxy({ redisPort: Number(new URL(inject("redisUrl")).port) });
  const name = randomPrefix().replaceAll(/[^A-Za-z0-9]/g, "");
  // Over HTTP node-redis is never loaded.
  const folder = join(import.meta.dirname, "../../../redis-toolkit");
  const code = await bundleForWorker(PROGRAM(proxy.url, name), folder, ["@redis/client"]);
  workerd = await startWorkerd(code, [{ date: "2026-11-17", flags: ["nodejs_compat"] }]);
});

afterAll(async () => {
  workerd?.[Symbol.dispose]();
  await proxy.close();
});

const ask = async (path: string): Promise<unknown> => {
  const response = await fetch(`${workerd!.urls[0]}/${path}`, { signal: AbortSignal.timeout(60_000) });
  return response.ok ? response.json() : `${response.status} ${await response.text()}`;
};

it("C749: limits, locks and sessions in a worker with nodejs_compat", async ({ skip }) => {
  skip(workerd === undefined, "no workerd for this machine");
  const taken = [await ask("consume"), await ask("consume"), await ask("consume")];
  expect(taken).toEqual([true, true, false].map((allowed) => ({ allowed, degraded: false })));
  expect(await ask("session")).toEqual({ data: { theme: "dark" }, ended: 1, after: null });
  expect(await Promise.all([ask("lock"), ask("lock")])).toEqual([true, true]);
});
