import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { TestClock } from "@hotset/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Address } from "../connection/session.ts";
import type { SentinelWatcher } from "./sentinel-watcher.ts";
import { openPrimary } from "./sentinel.ts";

let silent: Server;
let sockets: Socket[];
beforeEach(async () => {
  sockets = [];
  silent = createServer((socket) => void sockets.push(socket));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  silent.close();
});

it("an attempt lasts one connectTimeout: where the known primary took it all, no sentinel is asked", async () => {
  const clock = new TestClock();
  const address: Address = { host: "127.0.0.1", port: (silent.address() as AddressInfo).port };
  const primary = { clock, connectTimeoutMs: 1_000, database: 0, protocol: 3 } as const;
  const doubted: Address[] = [];
  const watcher = {
    primary: address,
    doubt: (named: Address) => void doubted.push(named),
  } as unknown as SentinelWatcher;
  const sentinels = [{ address, settings: primary }];
  const opened = openPrimary({ sentinels, primaryName: "main", primary }, watcher, new AbortController().signal, () =>
    Promise.resolve(),
  ).catch((error: unknown) => error);
  await expect.poll(() => sockets.length).toBe(1);
  const asked = once(silent, "connection").then(() => "a sentinel is asked");
  clock.advance(1_000);
  expect(await Promise.race([opened, asked])).toMatchObject({ name: "BackendUnavailableError" });
  expect([sockets.length, doubted]).toEqual([1, [address]]);
});
