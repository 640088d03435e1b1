import type { Cache } from "@hotset/core";
import type { Contender } from "./contenders.ts";

/**
 * The part of a cache that the processes of a round use, over another cache. It always reports that it is connected.
 */
export function asCache(contender: Contender): Cache {
  const done = async (status: string, work: Promise<unknown>): Promise<{ readonly status: string }> => {
    await work;
    return { status };
  };
  const view = (path: string): unknown => ({
    getOrSet: (key: string, load: (ctx: unknown) => Promise<unknown>) =>
      contender.getOrSet(path + key, () => load({ signal: new AbortController().signal, setOptions: () => undefined })),
    get: (key: string) => contender.get(path + key),
    peek: () => undefined,
    set: (key: string, value: unknown) => done("stored", contender.set(path + key, value)),
    delete: (key: string) => done("deleted", contender.delete(path + key)),
    namespace: (name: string) => view(`${path}${name}:`),
    explain: () => [],
    on: () => () => undefined,
    stats: () => ({ pending: 0, tiers: [{ label: "redis", state: "up" }] }),
    connect: async () => undefined,
    drain: async () => undefined,
    close: () => contender.close(),
  });
  return view("") as Cache;
}
