import { createRequire } from "node:module";
import { json } from "@hotset/core";
import { redis } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";

/** The steps that the process tests run in another process. */
export const handlers = {
  /** Builds a backend and does nothing with it. */
  build(url: string): void {
    redis(url).valueFormat(json()).build();
  },

  /** Whether node-redis has been loaded. */
  hasNodeRedis(): boolean {
    return Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes("/@redis/client/"));
  },

  /** Reads, and closes or leaves it open. Resolves with the outcome of the read. */
  async read(url: string, thenClose: boolean): Promise<string> {
    // The first connection of a process loads node-redis, which takes its time on a busy machine.
    const backend = redis(url).valueFormat(json()).responseTimeout("5s").build();
    const outcome = await backend.read("shop::1").then(
      () => "answered",
      () => "refused",
    );
    if (thenClose) await backend.close();
    return outcome;
  },

  /** A million writes that are not awaited. Resolves with how many settled, and by how many MB the process grew. */
  async flood(url: string, writes: number): Promise<{ settled: number; grownMb: number }> {
    const backend = redis(url).valueFormat(json()).maxInFlight(500).build();
    await backend.connect!();
    const before = process.memoryUsage().rss;
    let settled = 0;
    let peak = 0;
    const data = Buffer.alloc(100);
    for (let i = 0; i < writes; i++) {
      const count = (): number => settled++;
      backend
        .write(`shop::${i % 1_000}`, { data, staleInMs: 30_000, expiresInMs: 60_000, meta: "" })
        .then(count, count);
      if (i % 1_000 !== 0) continue;
      peak = Math.max(peak, process.memoryUsage().rss);
      await new Promise((resolve) => setImmediate(resolve));
    }
    while (settled < writes) await new Promise((resolve) => setTimeout(resolve, 10));
    await backend.close();
    return { settled, grownMb: (peak - before) / 2 ** 20 };
  },

  /** Overwrites a hundred entries, 20 at a time, until it is killed. Resolves once it has begun. */
  async write(url: string, bytes: number): Promise<void> {
    const backend = redis(url).valueFormat(json()).maxInFlight(20).responseTimeout("10s").build();
    await backend.connect!();
    let written = 0;
    const loop = async (): Promise<void> => {
      for (;;) {
        const i = written++;
        const data = Buffer.alloc(bytes, i % 256);
        await backend
          .write(`shop::${i % 100}`, { data, staleInMs: 30_000, expiresInMs: 60_000, meta: String(i) })
          // A turn of the event loop: while Redis is away, a write fails at once, and the connection needs that turn.
          .catch(() => new Promise((resolve) => setTimeout(resolve, 1)));
      }
    };
    for (let worker = 0; worker < 20; worker++) void loop();
    while (written < 60) await new Promise((resolve) => setTimeout(resolve, 1));
  },
};

answerCalls(handlers);
