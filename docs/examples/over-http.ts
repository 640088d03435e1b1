// npm install @hotset/redis-toolkit @hotset/redis @hotset/core
//
// Limits, locks and sessions in a function that cannot open a TCP connection. It reads UPSTASH_REDIS_REST_URL and
// UPSTASH_REDIS_REST_TOKEN, or those of KV; without them it starts a stand-in for such a service in front of REDIS_URL.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { http, type HttpOptions } from "@hotset/redis/http";

const standIn = process.env["UPSTASH_REDIS_REST_URL"] === undefined ? await startStandIn() : undefined;

// ---- what a function has at its top: nothing is opened, and nothing is sent

const redis = createRedis({ connection: http(standIn?.options), commandTimeout: "2s" });
const tenant = redis.tenant(process.env["KEY_PREFIX"] ?? "over-http");
const guesses = rateLimit(tenant, {
  name: "guesses",
  rules: [fixedWindow({ limit: 3, window: "1h" })],
  deadline: "5s",
});
const auth = sessions<{ theme: string }>(tenant);
const alone = locks(tenant);

async function signIn(user: string, password: string): Promise<string> {
  const { allowed } = await guesses.consume(user);
  if (!allowed) return "too many guesses";
  if (password !== "correct") return "wrong password";
  const { id } = await auth.create({ userId: user, data: { theme: "dark" } });
  return id;
}

// ---- requests

for (const guess of ["a", "b"]) assert.equal(await signIn("ada", guess), "wrong password");
const id = await signIn("ada", "correct");
assert.equal((await auth.touch(id))?.data.theme, "dark");
console.log("guess 4:", await signIn("ada", "correct"));

let reports = 0;
await Promise.all(
  ["one", "another"].map(() =>
    alone.using("report", { wait: "10s" }, async ({ signal }) => {
      signal.throwIfAborted();
      reports += 1;
    }),
  ),
);
console.log("reports:", reports);

console.log("sessions ended:", await auth.destroyAll("ada"));
console.log("after the logout:", await auth.read(id));

await redis.disconnect();
await standIn?.end();

/** What such a service does: a command, or several, as JSON; replies in base64. */
async function startStandIn(): Promise<{ readonly options: HttpOptions; readonly end: () => Promise<void> }> {
  const behind = createRedis();
  const shown = (reply: unknown): unknown => {
    if (Buffer.isBuffer(reply)) return reply.toString("base64");
    return Array.isArray(reply) ? reply.map(shown) : reply;
  };
  const run = async (args: string[]): Promise<object> => {
    try {
      return { result: shown(await behind.bytes.send(args)) };
    } catch (error) {
      return { error: String(error).replace(/^.*refused by Redis: /, "") };
    }
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const given: string[] | string[][] = JSON.parse(Buffer.concat(chunks).toString());
    const isPipeline = request.url === "/pipeline";
    const replies = isPipeline ? await Promise.all((given as string[][]).map(run)) : await run(given as string[]);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(replies));
  };
  const server: Server = createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    options: { url: `http://127.0.0.1:${port}`, token: "any" },
    end: async () => {
      server.closeAllConnections();
      server.close();
      await behind.disconnect();
    },
  };
}
