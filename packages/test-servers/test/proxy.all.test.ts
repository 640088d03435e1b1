import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createClient } from "@redis/client";
import { afterAll, afterEach, beforeEach, expect, it } from "vitest";
import { freePort, RespClient, startOwnRedis, startProxy, type FaultProxy, type Reply } from "../src/index.ts";

let proxy: FaultProxy;
let client: RespClient;

const redis = await startOwnRedis();
afterAll(() => redis.stop());

beforeEach(async () => {
  await redis.command("FLUSHALL");
  proxy = await startProxy(redis.port);
  client = clientWith(60_000);
});
afterEach(async () => {
  client.close();
  await proxy.close();
});

const clientWith = (timeoutMs: number): RespClient => RespClient.fromUrl(proxy.url, { timeoutMs });

it("passes everything on, including large values", async () => {
  const value = Buffer.alloc(5_000_000, "x\r\n\0");
  await client.command("SET", "k", value);
  expect(value.equals((await client.commandBytes("GET", "k")) as Buffer)).toBe(true);
  expect(proxy.counts.connections).toBe(1);
});

it("passes to a unix socket", async () => {
  const viaSocket = await startProxy({ path: redis.socketPath });
  const through = RespClient.fromUrl(viaSocket.url);
  expect(await through.command("PING")).toBe("PONG");
  viaSocket.cut();
  expect(await through.command("PING").catch(() => through.command("PING"))).toBe("PONG");
  await viaSocket.close();
});

it("counts commands written in one tick as one round trip, and awaited ones each", async () => {
  await client.command("PING");
  proxy.resetCounts();

  await Promise.all([client.command("HMGET", "k", "d"), client.command("PTTL", "k")]);
  expect(proxy.counts).toMatchObject({ commands: 2, roundTrips: 1, clientChunks: 1 });

  await client.command("HMGET", "k", "d");
  await client.command("PTTL", "k");
  expect(proxy.counts).toMatchObject({
    connections: 0,
    commands: 4,
    roundTrips: 3,
    commandsByName: { HMGET: 2, PTTL: 2 },
  });
  expect(proxy.commands()).toEqual([
    ["HMGET", "k", "d"],
    ["PTTL", "k"],
    ["HMGET", "k", "d"],
    ["PTTL", "k"],
  ]);
});

it("counts a pipeline that does not fit into one chunk as one round trip", async () => {
  await client.command("PING");
  proxy.resetCounts();
  await Promise.all(Array.from({ length: 100 }, (_, i) => client.command("SET", `k${i}`, Buffer.alloc(10_007))));
  expect(proxy.counts.clientChunks).toBeGreaterThan(1);
  expect(proxy.counts).toMatchObject({ commands: 100, roundTrips: 1 });
});

it("counts node-redis as it writes, and no push as a reply", async () => {
  const nodeRedis = createClient({ url: proxy.url, RESP: 3, emitInvalidate: true });
  nodeRedis.on("error", () => undefined);
  const pushed = once(nodeRedis, "invalidate");
  await nodeRedis.connect();
  await nodeRedis.get("k");
  proxy.resetCounts();

  await Promise.all([nodeRedis.hmGet("h", ["d", "s"]), nodeRedis.pTTL("h")]);
  expect(proxy.counts).toMatchObject({ commands: 2, roundTrips: 1 });

  const blocked = nodeRedis.blPop("list", 0);
  await redis.command("SET", "k", "v");
  await pushed;
  expect(proxy.counts).toMatchObject({ commands: 3, roundTrips: 1 });
  await redis.command("RPUSH", "list", "v");
  await blocked;
  expect(proxy.counts).toMatchObject({ commands: 3, roundTrips: 2 });
  nodeRedis.destroy();
});

it("counts bytes of an unknown protocol by chunks", async () => {
  const socket = connect(proxy.port, proxy.host).on("error", () => undefined);
  socket.write(Buffer.from([0x16, 0x03, 0x01, 0x0d, 0x0a]));
  await once(socket, "data");
  socket.destroy();
  expect(proxy.counts).toMatchObject({ commands: 0, roundTrips: 1 });
});

it("delays each way, all commands of a pipeline together, and keeps the order", async () => {
  const patient = clientWith(60_000);
  await patient.command("PING");
  proxy.delay(40);
  const timed = async (count: number): Promise<readonly [answers: readonly Reply[], tookMs: number]> => {
    const startedAt = performance.now();
    const answers = await Promise.all(Array.from({ length: count }, () => patient.command("INCR", "n")));
    return [answers, performance.now() - startedAt];
  };
  const [, oneMs] = await timed(1);
  const [answers, allMs] = await timed(100);
  expect(answers).toEqual(Array.from({ length: 100 }, (_, i) => i + 2));
  expect(Math.min(oneMs, allMs)).toBeGreaterThanOrEqual(79);
  // Delayed one after the other, they would take a hundred times as long.
  expect(allMs).toBeLessThan(50 * oneMs);
  patient.close();
});

it("delays one way only", async () => {
  const patient = clientWith(60_000);
  await patient.command("PING");
  proxy.delay({ toClient: 30_000 });
  let isAnswered = false;
  const answer = patient.command("INCR", "n").then(
    () => (isAnswered = true),
    () => undefined,
  );
  await expect.poll(() => redis.command("GET", "n")).toBe("1");
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(isAnswered).toBe(false);
  patient.close();
  await answer;
});

it("cuts connections with a reset, and lets new ones in", async () => {
  await client.command("PING");
  proxy.stall();
  const answer = client.command("PING");
  proxy.cut();
  await expect(answer).rejects.toMatchObject({ code: "ECONNRESET" });
  await proxy.pass();
  expect(await client.command("PING")).toBe("PONG");
});

it("refuses new connections and keeps present ones", async () => {
  await client.command("PING");
  const late = clientWith(3_000);
  await proxy.refuse();
  expect(await client.command("PING")).toBe("PONG");
  await expect(late.command("PING")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  await proxy.refuse("reset");
  await expect(late.command("PING")).rejects.toMatchObject({ code: "ECONNRESET" });
  await proxy.pass();
  expect(await late.command("PING")).toBe("PONG");
  late.close();
});

it("swallows requests silently, for good on the connections that lost bytes", async () => {
  const idle = clientWith(3_000);
  const hasty = clientWith(3_000);
  await Promise.all([hasty.command("PING"), idle.command("PING")]);
  proxy.swallow();
  const lost = hasty.command("SET", "k", "lost");
  const settled = await Promise.race([
    lost.catch(() => "rejected"),
    new Promise((resolve) => setTimeout(resolve, 100, "silent")),
  ]);
  expect(settled).toBe("silent");
  await proxy.pass();
  await expect(hasty.command("PING")).rejects.toThrow("No reply to SET within 3000 ms");
  await expect(lost).rejects.toThrow("No reply to SET within 3000 ms");
  expect(await redis.command("GET", "k")).toBe(null);
  expect(await idle.command("PING")).toBe("PONG");
  expect(await hasty.command("PING")).toBe("PONG");
  idle.close();
  hasty.close();
});

it("swallows only replies: the server has executed the command, but the client does not know", async () => {
  const hasty = clientWith(3_000);
  await hasty.command("PING");
  proxy.swallow("toClient");
  await expect(hasty.command("SET", "k", "v")).rejects.toThrow("No reply to SET");
  expect(await redis.command("GET", "k")).toBe("v");
  hasty.close();
});

it("swallows the end of a connection, and passes it on when healed", async () => {
  await client.command("CLIENT", "SETNAME", "left");
  proxy.swallow();
  client.close();
  const isThere = async (): Promise<boolean> => String(await redis.command("CLIENT", "LIST")).includes("name=left");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await isThere()).toBe(true);
  await proxy.pass();
  await expect.poll(isThere).toBe(false);
  expect(proxy.openConnections).toBe(0);
});

it("lets a connection hang while it is being opened", async () => {
  const hasty = clientWith(1_000);
  proxy.swallow();
  await expect(hasty.command("PING")).rejects.toThrow("No reply to PING");
  await expect.poll(() => proxy.counts.connections).toBe(1);
  hasty.close();
});

it("stalls and delivers later", async () => {
  const patient = clientWith(60_000);
  await patient.command("PING");
  proxy.stall("toClient");
  const answer = patient.command("INCR", "n");
  await expect.poll(() => redis.command("GET", "n")).toBe("1");
  await proxy.pass();
  expect(await answer).toBe(1);
  patient.close();
});

it("cuts after so many bytes, once", async () => {
  await redis.command("SET", "k", "0123456789");
  await client.command("PING");
  const socket = connect(proxy.port, proxy.host);
  const received = collect(socket);
  proxy.limit(8, "toClient");
  socket.write("GET k\r\n");
  expect(await received).toEqual({ text: "$10\r\n012", error: "ECONNRESET" });
  expect(await client.command("GET", "k")).toBe("0123456789");
});

it("cuts a request in the middle", async () => {
  await client.command("PING");
  proxy.limit(20, "toServer");
  await expect(client.command("SET", "key", "v".repeat(50))).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(await redis.command("EXISTS", "key")).toBe(0);
});

it("holds one command of a pipeline before the server sees it", async () => {
  const patient = clientWith(60_000);
  await patient.command("PING");
  const held = proxy.hold("set");
  const answers = Promise.all([
    patient.command("INCR", "n"),
    patient.command("SET", "k", "v"),
    patient.command("INCR", "n"),
  ]);
  expect(await held.reached).toEqual(["SET", "k", "v"]);
  await expect.poll(() => redis.command("GET", "n")).toBe("1");
  expect(await redis.command("EXISTS", "k")).toBe(0);
  held.release();
  expect(await answers).toEqual([1, "OK", 2]);
  expect(await patient.command("SET", "k", "w")).toBe("OK");
  patient.close();
});

it("holds a reply, and can lose it: done, but not acknowledged", async () => {
  await client.command("PING");
  const held = proxy.hold(([name, key]) => name === "INCR" && key === "second", "reply");
  const first = client.command("INCR", "first");
  const second = client.command("INCR", "second");
  await held.reached;
  expect(await first).toBe(1);
  expect(await redis.command("GET", "second")).toBe("1");
  held.cut();
  await expect(second).rejects.toMatchObject({ code: "ECONNRESET" });
});

it("cancels a hold that no command has reached", async () => {
  proxy.hold("PING");
  await proxy.pass();
  expect(await client.command("PING")).toBe("PONG");
  proxy.hold("PING").release();
  expect(await client.command("PING")).toBe("PONG");
});

it("passes on that a server goes down and comes back", async () => {
  const port = await freePort();
  const early = await startProxy(port);
  const through = RespClient.fromUrl(early.url);
  await expect(through.command("PING")).rejects.toMatchObject({ code: "ECONNRESET" });
  const late = await startOwnRedis({ port });
  expect(await through.command("PING")).toBe("PONG");
  await late.kill();
  await expect(through.command("PING")).rejects.toThrow(/ECONNRESET|closed the connection/);
  await late.stop();
  through.close();
  await early.close();
});

it("survives clients that disconnect at any moment", async () => {
  for (let i = 0; i < 50; i++) {
    const socket = connect(proxy.port, proxy.host).on("error", () => undefined);
    socket.write("PING\r\n*1\r\n$4\r\nPI");
    if (i % 2 === 0) await once(socket, "connect");
    if (i % 3 === 0) socket.resetAndDestroy();
    else socket.destroy();
  }
  expect(await client.command("PING")).toBe("PONG");
  client.close();
  await expect.poll(() => proxy.openConnections).toBe(0);
});

function collect(socket: Socket): Promise<{ readonly text: string; readonly error: string | undefined }> {
  return new Promise((resolve) => {
    let text = "";
    let error: string | undefined;
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.on("error", (cause: NodeJS.ErrnoException) => (error = cause.code));
    socket.on("close", () => resolve({ text, error }));
  });
}
