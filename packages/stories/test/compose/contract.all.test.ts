/** Two composed Redis servers keep the contract of a backend. The servers of the suite stand for both sides. */
import { compose } from "@hotset/compose";
import { json, type Backend } from "@hotset/core";
import { redis } from "@hotset/redis";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { describeBackend } from "@hotset/testing/contract-suites";
import { afterAll, inject } from "vitest";
import { LAYOUT } from "../support/layout.ts";

const nearServer = await startOwnRedis();
afterAll(() => nearServer.stop());

const prefixes = new WeakMap<Backend, string>();

/** Each process has its own near: what another one changes is found in far. */
function open(prefix = randomPrefix()): Backend {
  const side = (url: string, keys: string) =>
    redis(url).layout(LAYOUT).keyPrefix(keys).valueFormat(json()).responseTimeout("10s").build();
  const backend = compose(side(nearServer.url, randomPrefix()), side(inject("redisUrl"), prefix), { nearTtl: "1d" });
  prefixes.set(backend, prefix);
  return backend;
}

describeBackend("two composed Redis servers", {
  open: () => open(),
  openPeer: (backend) => open(prefixes.get(backend)),
  expiry: "server",
  leasesReplaceMissing: true,
});
