/** A cache in front of a handler that pipes a body far above its limit; run it with `--expose-gc`. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { answerCalls } from "@hotset/test-servers";

export interface LargeBodyProcess {
  [name: string]: (...args: never[]) => unknown;
  /** @returns its port. */
  start(chunks: number): Promise<number>;
  /** Bytes in use beyond those at the start, ten times a second. */
  used(): readonly number[];
}

const bytesInUse = (): number => {
  (globalThis as unknown as { gc(): void }).gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};
const samples: number[] = [];

const handlers: LargeBodyProcess = {
  async start(chunks: number): Promise<number> {
    const cache = createCache({ name: "shop" }).tier(memory()).build();
    const http = httpCache(cache.namespace("pages"), { base: "http://shop.example", maxBodyBytes: 5_000_000 });
    const listener = cachedListener(http, (_, response) => {
      response.writeHead(200, { "cache-control": "max-age=60" });
      const body = function* (): Generator<Buffer> {
        for (let i = 0; i < chunks; i += 1) yield Buffer.alloc(65_536, i);
      };
      Readable.from(body()).pipe(response);
    });
    const server = createServer(listener).listen(0, "127.0.0.1");
    await once(server, "listening");
    const before = bytesInUse();
    setInterval(() => samples.push(bytesInUse() - before), 100).unref();
    return (server.address() as AddressInfo).port;
  },
  used: () => samples,
};
answerCalls(handlers);
