import { once } from "node:events";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCache } from "@hotset/core";
import { httpCache, type HttpCache } from "@hotset/http";
import { memory } from "@hotset/memory";
import { clientReads, STEPS, walk, type Step } from "./client.ts";
import type { Surroundings } from "./parts.ts";

/** The answers of an application, without the cache and with it. */
export async function answersOf(
  make: (cache: HttpCache | undefined, surroundings: Surroundings) => RequestListener | Promise<RequestListener>,
  steps: readonly Step[] = STEPS,
): Promise<{ readonly bare: readonly string[]; readonly cached: readonly string[] }> {
  const files = mkdtempSync(join(tmpdir(), "hotset-files-"));
  writeFileSync(join(files, "file.txt"), "whole file");
  utimesSync(join(files, "file.txt"), 946_684_800, 946_684_800);
  const upstream = await serve(upstreamOf);
  const surroundings = { upstream: `http://127.0.0.1:${upstream.port}`, files };
  const cache = createCache({ name: "app" }).tier(memory()).build();
  const http = httpCache(cache.namespace("http"), { base: "http://app.example" });
  try {
    const answers = async (given: HttpCache | undefined): Promise<readonly string[]> => {
      const server = await serve(await make(given, surroundings));
      try {
        return await walk(server.port, steps);
      } finally {
        server.close();
      }
    };
    return { bare: await answers(undefined), cached: await answers(http) };
  } finally {
    upstream.close();
    await cache.close();
    rmSync(files, { recursive: true });
  }
}

async function serve(listener: RequestListener): Promise<{ readonly port: number; close(): void }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { port: (server.address() as AddressInfo).port, close };
}

/** It answers in chunks. */
const upstreamOf: RequestListener = (request, response) => {
  if (request.url === "/own") response.setHeader("cache-control", "private");
  else if (request.method === "GET") response.setHeader("cache-control", "max-age=60");
  response.write(`${request.method} `);
  if (request.url === "/cut") void clientReads().then(() => response.destroy());
  else request.pipe(response);
};
