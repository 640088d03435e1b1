import type { Contender, Product, Setup, Value } from "./contender.ts";

/** Less than a cache: no single flight, no invalidation in other processes. */
const limit = (
  name: string,
  shapes: Product["shapes"],
  packages: Product["packages"],
  page: string,
  open: Product["open"],
): Product => ({ name, kind: "limit", packages, page, shapes, can: [], open });

export const limits: readonly Product[] = [
  limit("Map", ["memory"], [], "https://tc39.es/ecma262/#sec-map-objects", openMap),
  limit("lru-cache", ["memory"], ["lru-cache"], "https://github.com/isaacs/node-lru-cache#readme", openLru),
  limit(
    "node-redis GET",
    ["redis"],
    ["@redis/client"],
    "https://github.com/redis/node-redis/blob/master/docs/client-configuration.md",
    openNodeRedis,
  ),
  limit("ioredis GET", ["redis"], ["ioredis"], "https://github.com/redis/ioredis#autopipelining", openIoRedis),
  limit("node-redis, commands of hotset", ["redis"], ["@redis/client"], "docs/reference/redis-layout.md", openHashes),
];

async function openMap({ load }: Setup): Promise<Contender> {
  const map = new Map<string, unknown>();
  return around({ get: (key) => map.get(key), set: (key, value) => void map.set(key, value) }, load, (key) =>
    map.delete(key),
  );
}

async function openLru({ maxItems, ttlMs, load }: Setup): Promise<Contender> {
  const { LRUCache } = await import("lru-cache");
  // It reads the clock at each hit, as hotset does.
  const lru = new LRUCache<string, Value>({ max: maxItems, ttl: ttlMs, ttlResolution: 0 });
  return around({ get: (key) => lru.get(key), set: (key, value) => void lru.set(key, value) }, load, (key) =>
    lru.delete(key),
  );
}

interface Values {
  get(key: string): unknown;
  set(key: string, value: Value): void;
}

function around({ get, set }: Values, load: Setup["load"], remove: (key: string) => unknown): Contender {
  return {
    getOrSet: async (key) => {
      const found = get(key);
      if (found !== undefined) return found;
      const value = await load(key);
      set(key, value);
      return value;
    },
    get: async (key) => get(key),
    set: async (key, value) => set(key, value),
    delete: async (key) => remove(key),
    peek: get,
    close: async () => undefined,
  };
}

interface Strings {
  get(key: string): Promise<string | null>;
  set(key: string, text: string): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  mGet(keys: string[]): Promise<readonly (string | null)[]>;
  close(): unknown;
}

/** JSON in strings, each with its life. */
function overStrings({ prefix, load }: Setup, strings: Strings): Contender {
  const at = (key: string): string => `${prefix}:${key}`;
  const parsed = (text: string | null): unknown => (text === null ? undefined : JSON.parse(text));
  return {
    getOrSet: async (key) => {
      const text = await strings.get(at(key));
      if (text !== null) return JSON.parse(text) as unknown;
      const value = await load(key);
      await strings.set(at(key), JSON.stringify(value));
      return value;
    },
    get: async (key) => parsed(await strings.get(at(key))),
    set: (key, value) => strings.set(at(key), JSON.stringify(value)),
    delete: (key) => strings.delete(at(key)),
    getMany: async (keys) => (await strings.mGet(keys.map(at))).map(parsed),
    close: async () => strings.close(),
  };
}

async function openNodeRedis(setup: Setup): Promise<Contender> {
  const { createClient } = await import("@redis/client");
  const client = await createClient({ url: setup.url, commandOptions: { timeout: 0 } })
    .on("error", () => undefined)
    .connect();
  return overStrings(setup, {
    get: (key) => client.get(key),
    set: (key, text) => client.set(key, text, { expiration: { type: "PX", value: setup.ttlMs } }),
    delete: (key) => client.del(key),
    mGet: (keys) => client.mGet(keys),
    close: () => client.destroy(),
  });
}

async function openIoRedis(setup: Setup): Promise<Contender> {
  const { Redis } = await import("ioredis");
  const client = new Redis(setup.url, { enableAutoPipelining: true });
  client.on("error", () => undefined);
  return overStrings(setup, {
    get: (key) => client.get(key),
    set: (key, text) => client.set(key, text, "PX", setup.ttlMs),
    delete: (key) => client.del(key),
    mGet: (keys) => client.mget(keys),
    close: () => client.disconnect(),
  });
}

/** The commands of hotset's hash of one entry without a lease, and its value in MessagePack. */
async function openHashes({ url, prefix, ttlMs, load }: Setup): Promise<Contender> {
  const { createClient, RESP_TYPES } = await import("@redis/client");
  // Without its native part, as in `@hotset/formats/msgpack`: "msgpackr" would load it.
  const { Packr } = await import("msgpackr/pack");
  const client = await createClient({ url, commandOptions: { timeout: 0 } })
    .on("error", () => undefined)
    .connect();
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const packr = new Packr({ useRecords: false });
  const at = (key: string): string => `${prefix}:${key}`;
  const get = async (key: string): Promise<unknown> => {
    const [fields] = await Promise.all([bytes.hmGet(at(key), ["d", "s"]), bytes.pTTL(at(key))]);
    const data = fields[0] as unknown as Buffer | null;
    return data === null ? undefined : packr.unpack(data);
  };
  const set = (key: string, value: Value): Promise<unknown> =>
    Promise.all([
      bytes.hSet(at(key), {
        d: packr.pack(value),
        s: `${ttlMs} 0123456789abcdef;{}`,
      }),
      bytes.pExpire(at(key), ttlMs),
    ]);
  return {
    getOrSet: async (key) => {
      const found = await get(key);
      if (found !== undefined) return found;
      const value = await load(key);
      await set(key, value);
      return value;
    },
    get,
    set,
    delete: (key) => client.del(at(key)),
    getMany: (keys) => Promise.all(keys.map(get)),
    close: async () => client.destroy(),
  };
}
