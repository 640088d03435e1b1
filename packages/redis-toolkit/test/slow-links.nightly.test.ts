import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

interface SlowLink extends AsyncDisposable {
  readonly url: string;
}

/** How much of an answer goes out at a time. */
const CHUNK_BYTES = 16_384;

/** A link to a server over which the answers of each connection come at so many bytes a second. */
async function slowLink(port: number, bytesPerSecond: number): Promise<SlowLink> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
    client.on("data", (data) => upstream.write(data));
    upstream.on("data", (data: Buffer) => {
      upstream.pause();
      void (async () => {
        for (let at = 0; at < data.length && !client.destroyed; at += CHUNK_BYTES) {
          const part = data.subarray(at, at + CHUNK_BYTES);
          client.write(part);
          await sleep((part.length / bytesPerSecond) * 1_000);
        }
        upstream.resume();
      })();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const MB = 1_000_000;
const MANY = 20;

// All of them in one reply take longer than a command may, but the fastest; each alone takes less.
describe.each([
  { mbPerSecond: 0.1, bytes: 100_000 },
  { mbPerSecond: 1, bytes: 500_000 },
  { mbPerSecond: 10, bytes: 4_000_000 },
])("over a link of $mbPerSecond MB/s", ({ mbPerSecond, bytes }) => {
  let server: OwnRedis;
  let near: Redis;
  beforeAll(async () => {
    server = await startOwnRedis();
    near = createRedis({ env: false, url: server.url });
  });
  afterAll(async () => {
    await near.disconnect();
    await server.stop();
  });
  const large = "x".repeat(bytes);
  const numbers = Array.from({ length: MANY }, (_, i) => i);

  it("A100 A101: each large job runs once, at its first attempt", { timeout: 240_000 }, async () => {
    await using link = await slowLink(server.port, mbPerSecond * MB);
    await using far = createRedis({ env: false, url: link.url, commandTimeout: "5s" });
    const jobs = queue<{ readonly n: number; readonly large: string }>(near, "large", { attempts: 1 });
    for (const n of numbers) await jobs.add({ n, large });
    const ran: string[] = [];
    const worker = queue<{ readonly n: number; readonly large: string }>(far, "large").worker(
      ({ data, attempt }) => ran.push(`${data.n}: ${attempt}, ${data.large.length}`),
      { concurrency: MANY },
    );
    await expect
      .poll(() => jobs.counts(), { timeout: 200_000 })
      .toMatchObject({ waiting: 0, active: 0, completed: MANY });
    await worker.stop();
    expect(ran.toSorted()).toEqual(numbers.map((n) => `${n}: 1, ${bytes}`).toSorted());
    expect((await jobs.counts()).dead).toBe(0);
  });

  it("A100 A101: each large entry is handled, and none becomes a dead letter", { timeout: 240_000 }, async () => {
    await using link = await slowLink(server.port, mbPerSecond * MB);
    await using far = createRedis({ env: false, url: link.url, commandTimeout: "5s" });
    const entries = streams(near).stream<{ readonly n: string; readonly large: string }>("large");
    await entries.group("g").ensure("0");
    for (const n of numbers) await entries.append({ n: String(n), large });
    const handled = new Set<string>();
    const reading = consumer(
      streams(far).stream<{ readonly n: string; readonly large: string }>("large"),
      "g",
      { count: MANY, concurrency: MANY },
      ({ fields }) => void handled.add(`${fields.n}: ${fields.large.length}`),
    );
    await expect.poll(() => handled.size, { timeout: 200_000 }).toBe(MANY);
    await expect.poll(async () => (await entries.group("g").pending()).count, { timeout: 30_000 }).toBe(0);
    expect(reading.counts).toMatchObject({ handled: MANY, failed: 0, buried: 0 });
    await reading.stop();
    expect([...handled].toSorted()).toEqual(numbers.map((n) => `${n}: ${bytes}`).toSorted());
  });
});
