import type { Contender, Product, Setup } from "./contender.ts";

/** @see https://hapi.dev/module/catbox/api "Policy" */
export const catbox: Product = {
  name: "catbox",
  kind: "peer",
  packages: ["@hapi/catbox", "@hapi/catbox-memory", "@hapi/catbox-redis"],
  page: "https://hapi.dev/module/catbox/api",
  shapes: ["memory", "redis"],
  can: ["stale"],
  open,
};

async function open({ url, shape, prefix, ttlMs, staleMs, load }: Setup): Promise<Contender> {
  const { Client, Policy } = await import("@hapi/catbox");
  const { Engine: Memory } = await import("@hapi/catbox-memory");
  const { Engine: Redis } = await import("@hapi/catbox-redis");
  const client =
    shape === "memory"
      ? new Client(new Memory({ maxByteSize: 4_000_000_000, cloneBuffersOnGet: false }) as never)
      : new Client(new Redis({ url, partition: prefix }) as never);
  await client.start();
  // It refreshes within a life, and waits 1 ms for the new value before it serves the stale one.
  const policy = new Policy<unknown, object>(
    {
      expiresIn: ttlMs + staleMs,
      generateFunc: async (key: string | { id: string }) => load(typeof key === "string" ? key : key.id),
      generateTimeout: false,
      ...(staleMs > 0 && { staleIn: ttlMs, staleTimeout: 1 }),
    },
    client,
    "values",
  );
  return {
    getOrSet: (key) => policy.get(key),
    get: async (key) => (await client.get({ segment: "values", id: key }))?.item,
    set: (key, value) => policy.set(key, value, 0),
    delete: (key) => policy.drop(key),
    close: async () => client.stop(),
  };
}
