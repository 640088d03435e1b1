// How different people use hotset. Compiled against the built packages with every TypeScript that is supported; runs
// nothing.

import { createHash } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Awaitable,
  type Backend,
  BackendUnavailableError,
  type Cache,
  CacheError,
  type Compressor,
  type DeleteStatus,
  type Format,
  LoadTimeoutError,
  type Namespace,
  type Policy,
  type StandardSchema,
  type StoredEntry,
  brotli,
  cluster,
  compose,
  createCache,
  fromClient,
  json,
  keyOf,
  memory,
  msgpack,
  packEntry,
  parseDuration,
  redis,
  sentinel,
  single,
  unpackEntry,
  v8,
  zstd,
  RedisBackend,
} from "hotset";
import { describeBackend, describeFormat } from "@hotset/testing/contract-suites";
import { TestClock } from "@hotset/testing";

// ---- stand-ins for other people's code

interface User {
  readonly id: number;
  readonly name: string;
  readonly orgId: string;
}
interface Product {
  readonly sku: string;
  readonly cents: number;
}
interface Query {
  text: string;
  page?: number;
}
declare const env: Record<string, string | undefined>;
declare const db: {
  findUser(id: number, options?: { signal?: AbortSignal }): Promise<User | undefined>;
  getUser(id: number): Promise<User>;
  findUsers(ids: readonly number[]): Promise<User[]>;
  saveUser(user: User): Promise<void>;
  search(query: Query): Promise<Product[]>;
  price(sku: string, currency: "EUR" | "USD"): Promise<number>;
};
declare const log: { warn(fields: object, text: string): void };
declare const metrics: {
  count(name: string, labels: Record<string, string>): void;
  gauge(name: string, value: number): void;
};
interface Req {
  readonly params: Record<string, string>;
  readonly signal: AbortSignal;
}
interface Res {
  setHeader(name: string, value: string): void;
  json(body: unknown): void;
  status(code: number): Res;
}
declare const app: { get(path: string, handler: (req: Req, res: Res) => Promise<void>): void };
declare const nodeRedis: Parameters<typeof fromClient>[0];
declare const waitUntil: (promise: Promise<unknown>) => void;
declare const dynamo: {
  get(key: string): Promise<{ blob: Uint8Array } | undefined>;
  put(key: string, item: { blob: Uint8Array; ttlSeconds?: number }): Promise<void>;
  delete(key: string): Promise<{ existed: boolean }>;
};

// ---- 1. the first program: memory in front of Redis

const cache = createCache({ name: "shop" })
  .tier(memory())
  .tier(redis("redis://localhost:6379").build())
  .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h" })
  .build();

export const user1 = await cache.getOrSet("user:1", () => db.getUser(1));

// ---- 2. everything said

export const backend = RedisBackend.builder()
  .connection(single("rediss://cache.internal:6380", { tls: { servername: "cache.internal" } }))
  .username("cache")
  .password(() => fetch("http://metadata/token").then((r) => r.text()))
  .label("redis")
  .keyPrefix("staging")
  .keyFormat("readable")
  .valueFormat(msgpack())
  .alsoReads(json(), v8())
  .compressor(zstd({ level: 3, minBytes: 1024 }))
  .connectTimeout("5s")
  .responseTimeout("1s")
  .retries(Infinity)
  .backoff({ base: "50ms", factor: 2, max: "5s" })
  .maxEntryBytes(2 ** 20)
  .coherence("tracking")
  .build();

// ---- 3. Express: a header that says how it was answered, a client that may hang up

app.get("/users/:id", async (req, res) => {
  const id = Number(req.params["id"]);
  const user = await cache.getOrSet(
    keyOf("user", id),
    async ({ signal }) => (await db.findUser(id, { signal })) ?? null,
    {
      negativeTtl: "10s",
      hardTimeout: "2s",
      signal: req.signal,
      onServed: ({ status, freshForMs, ageMs }) => {
        res.setHeader(
          "Cache-Status",
          status === "miss" ? "shop; fwd=miss" : `shop; hit; ttl=${Math.ceil(freshForMs / 1000)}`,
        );
        res.setHeader("Age", String(Math.floor(ageMs / 1000)));
      },
    },
  );
  if (user === null) res.status(404).json({});
  else res.json(user.name);
});

// ---- 4. errors: ours have a code, the loader's are passed on

export async function pricesOrEmpty(query: Query): Promise<Product[]> {
  try {
    return await cache.getOrSet(keyOf("search", query), () => db.search(query), { hardTimeout: "500ms" });
  } catch (error) {
    if (error instanceof LoadTimeoutError) return [];
    if (error instanceof CacheError) log.warn({ code: error.code, tier: error.tier }, "cache");
    throw error;
  }
}

// ---- 5. a repository: one function per read, invalidation beside the write

const userKey = (id: number) => keyOf("user", id);
export const users = {
  get: (id: number) =>
    cache.getOrSet(
      userKey(id),
      async (ctx) => {
        const user = await db.getUser(id);
        ctx.setOptions({ tags: [`org:${user.orgId}`] });
        return user;
      },
      { tags: ["users"] },
    ),
  many: (ids: readonly number[]) =>
    cache.getOrSetMany(
      ids,
      userKey,
      async (missing, ctx) => {
        const rows = await db.findUsers(missing);
        for (const row of rows) ctx.setOptions(row.id, { tags: [`org:${row.orgId}`] });
        return rows.map((row) => [row.id, row] as const);
      },
      { tags: ["users"] },
    ),
  save: async (user: User) => {
    await db.saveUser(user);
    await cache.delete(userKey(user.id));
  },
  orgRenamed: (orgId: string) => cache.markTagsStale(`org:${orgId}`),
};

// ---- 6. DataLoader's batch function: results in the order of the ids

export const batchUsers = async (ids: readonly number[]): Promise<(User | Error)[]> => {
  const found = await users.many(ids);
  return ids.map((id) => found.get(id) ?? new Error(`no user ${id}`));
};

// ---- 7. memoise a function that exists

const price = cache.wrap(db.price, {
  name: "price",
  ttl: "30s",
  refreshAhead: 0.8,
  tags: (cents, sku) => [`sku:${sku}`, cents > 0 ? "paid" : "free"],
});
export const cents: number = await price("A1", "EUR");
await price.invalidate("A1", "EUR");
await price.refresh("A1", "EUR");
export const known = cache.peek<number>(price.key("A1", "EUR"));

// ---- 8. memoise a function whose argument is not plain data: then the key is yours

export const page = cache.wrap((request: Request, locale: string) => fetch(request).then((r) => r.text() + locale), {
  name: "page",
  key: (request, locale) => `${request.url} ${locale}`,
});

// ---- 9. a typed namespace; no casts, no wrong values

const flags: Namespace<boolean> = cache.namespace<boolean>("flags", { ttl: "5s", staleIfError: "7d" });
export const beta: boolean = await flags.getOrSet("beta", () => false);
await flags.set("beta", true);
export const maybe: boolean | undefined = await flags.get("beta");

// ---- 10. one that checks what other services wrote

declare const productSchema: StandardSchema<Product>;
const products = cache.namespace("products", { schema: productSchema, ttl: "10m" });
export const product: Product | undefined = await products.get("A1");

// ---- 11. several typed kinds of keys, declared once

export const stores = {
  user: cache.namespace<User>("user", { ttl: "5m" }),
  product: products,
  flag: flags,
};

// ---- 12. many tenants: views are cheap, nothing crosses

export const forTenant = (tenantId: string) => cache.namespace("tenant").namespace(tenantId);
await forTenant("acme").invalidateTags("invoices");
await forTenant("acme").clear();

// ---- 13. three caches, three formats, one connection

const connection = single(env["REDIS_URL"] ?? "redis://localhost");
export const sessions = createCache({ name: "sessions" }).tier(redis(connection).valueFormat(json()).build()).build();
export const pages = createCache({ name: "pages" })
  .tier(memory({ maxBytes: 64 * 2 ** 20 }))
  .tier(redis(connection).compressor(brotli()).build())
  .build();
const shared = redis(connection).build();
export const a = createCache({ name: "a" }).tier(shared).build();
export const b = createCache({ name: "b" }).tier(memory()).tier(shared).build();

// ---- 14. a node-redis client that exists already

export const onClient = createCache({ name: "legacy" })
  .tier(memory())
  .tier(redis(fromClient(nodeRedis)).keyPrefix("v2").build())
  .build();

// ---- 15. cluster and sentinel

export const onCluster = redis(cluster(["redis://a:7000", "redis://b:7000"], { readFromReplicas: true })).build();
export const onSentinel = redis(sentinel(["redis://s1:26379", "redis://s2:26379"], { primaryName: "main" }))
  .password("secret")
  .build();

// ---- 16. Redis only where there is one; settings from the environment

const local = createCache({ name: "app" }).tier(memory());
const url = env["REDIS_URL"];
export const wherever: Cache = (url === undefined ? local : local.tier(redis(url).build()))
  .defaults({ ttl: parseDuration(env["CACHE_TTL"] ?? "1m") })
  .build();

// ---- 17. conditional requests: etag, 304

export const feed = (address: string) =>
  cache.getOrSet(
    keyOf("feed", address),
    async ({ signal, stale, setOptions }) => {
      const headers = stale?.etag === undefined ? {} : { "if-none-match": stale.etag };
      const response = await fetch(address, { signal, headers });
      if (response.status === 304 && stale !== undefined) return stale.notModified();
      if (!response.ok) throw new Error(`feed: ${response.status}`);
      const etag = response.headers.get("etag");
      if (etag !== null) setOptions({ etag });
      return response.text();
    },
    { staleIfError: "1d" },
  );

// ---- 18. a lifetime that the value decides; a value not worth keeping

export const token = (client: string) =>
  cache.getOrSet(keyOf("token", client), async (ctx) => {
    const response = await fetch(`https://id.example/token?client=${client}`, { method: "POST", signal: ctx.signal });
    const body = (await response.json()) as { access_token: string; expires_in: number };
    if (body.expires_in < 5) return ctx.noStore(body.access_token);
    ctx.setOptions({ ttl: (body.expires_in - 5) * 1000, staleIfError: 0 });
    return body.access_token;
  });

// ---- 19. values no format can write

const templates = cache.namespace<(data: object) => string>("templates", { localOnly: true, ttl: "1h" });
export const html = (await templates.getOrSet("mail", async () => (data) => JSON.stringify(data)))({ a: 1 });

// ---- 20. Nest: a provider that shuts down with the application

export class CacheProvider {
  readonly cache = createCache({ name: "nest" }).tier(memory()).tier(redis("redis://localhost").build()).build();
  onModuleInit() {
    return this.cache.connect();
  }
  onApplicationShutdown() {
    return this.cache.close({ timeout: "10s" });
  }
}

// ---- 21. Next, Hono and others on serverless: background loads outlive the response

export const edge = createCache({ name: "edge", waitUntil })
  .tier(redis("redis://localhost").build())
  .defaults({ ttl: "1m", staleWhileRevalidate: "1h" })
  .build();

// ---- 22. AWS Lambda has no waitUntil: settle before returning

export const handler = async (event: { id: number }) => {
  const user = await edge.getOrSet(keyOf("user", event.id), () => db.getUser(event.id));
  await edge.drain();
  return user;
};

// ---- 23. a script that must exit

export async function script(): Promise<void> {
  await using own = createCache({ name: "script" }).tier(redis("redis://localhost").build()).build();
  await own.set("last-run", Date.now(), { ttl: "7d" });
}

// ---- 24. tests move time

export async function servesStaleWhenTheDatabaseIsDown(): Promise<void> {
  const clock = new TestClock();
  const tested = createCache({ name: "test", clock })
    .tier(memory())
    .defaults({ ttl: "1s", staleIfError: "1m" })
    .build();
  await tested.set("user:1", "Ada");
  clock.advance("2s");
  const name = await tested.getOrSet("user:1", (): string => {
    throw new Error("db down");
  });
  console.assert(name === "Ada" && (await tested.inspect("user:1"))?.state === "stale");
}

// ---- 25. watch it

cache.on("load:error", ({ key, background, error }) => log.warn({ key, background, error }, "load failed"));
cache.on("backend:state", ({ tier, state }) => metrics.count("cache_state", { tier, state }));
const unsubscribe = cache.on("hit", ({ tier }) => metrics.count("cache_hit", { tier }));
unsubscribe();
for (const tier of cache.stats().tiers) metrics.gauge(`cache_p99_${tier.label}`, tier.latency.read.p99Ms);
export const ready = () => cache.stats().tiers.every((tier) => tier.state !== "down");

// ---- 26. what could not be done is said

const { status } = await cache.delete("user:1");
if (status === "pending") log.warn({ key: "user:1" }, "Redis is away: deleted here, elsewhere once it is back");

// ---- 27. from cache-manager: wrap(key, fn, ttl, refreshThreshold), mset, mdel

export const migrated = cache.getOrSet("k", () => db.getUser(1), { ttl: 10_000, refreshAhead: 0.7 });
await cache.setMany(
  [
    ["a", 1],
    ["b", "two"],
    ["c", null],
  ],
  { ttl: 5_000 },
);
await cache.deleteMany(["a", "b"]);

// ---- 28. from bentocache: getOrSet({ key, factory, grace, timeout, tags }), expire, namespace

export const fromBento = cache
  .namespace("users")
  .getOrSet("1", async (ctx) => (await db.findUser(1)) ?? ctx.noStore(null), {
    ttl: "10m",
    staleIfError: "6h",
    softTimeout: "200ms",
    tags: ["u"],
  });
await cache.namespace("users").markStale("1");

// ---- 29. from cachified: getFreshValue, checkValue, swr, forceFresh, metadata

export const fromCachified = cache.namespace("product", { schema: productSchema }).getOrSet(
  "A1",
  async (ctx) => {
    const found = await fetch("https://api.example/A1", { signal: ctx.signal }).then(
      (r) => r.json() as Promise<Product>,
    );
    if (found.cents === 0) ctx.setOptions({ ttl: 0 });
    return found;
  },
  { ttl: 1_000, staleWhileRevalidate: Infinity, forceRefresh: true },
);

// ---- 30. a backend for DynamoDB: four methods, no coherence, so local staleness is chosen

export class DynamoBackend implements Backend {
  readonly label = "dynamodb";
  constructor(
    readonly format: Format = json(),
    readonly compressor: Compressor = zstd(),
  ) {}
  async read(key: string): Promise<StoredEntry | undefined> {
    const item = await this.#call("read", () => dynamo.get(key));
    return item && unpackEntry(item.blob, Date.now());
  }
  async write(key: string, entry: StoredEntry): Promise<void> {
    const now = Date.now();
    const ttl = entry.expiresInMs === Infinity ? {} : { ttlSeconds: Math.ceil((now + entry.expiresInMs) / 1000) };
    await this.#call("write", () => dynamo.put(key, { blob: packEntry(entry, now), ...ttl }));
  }
  async remove(key: string): Promise<DeleteStatus> {
    return (await this.#call("remove", () => dynamo.delete(key))).existed ? "deleted" : "missing";
  }
  async close(): Promise<void> {}
  async #call<T>(operation: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (cause) {
      throw new BackendUnavailableError("DynamoDB did not answer", { tier: this.label, operation, cause });
    }
  }
}
export const overDynamo = createCache({ name: "d" })
  .tier(memory())
  .tier(new DynamoBackend())
  .defaults({ localTtl: "2s" })
  .build();
describeBackend("dynamodb", { open: () => new DynamoBackend(), expiry: "server" });

// ---- 31. one for files, used by this process alone

export const files = (folder: string): Backend => {
  const path = (key: string) => join(folder, createHash("sha256").update(key).digest("hex"));
  const absent = (error: unknown) => {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  };
  return {
    label: "files",
    format: v8(),
    compressor: zstd(),
    coherence: "sole-writer",
    read: async (key) => {
      const bytes = await readFile(path(key)).catch(absent);
      return bytes && unpackEntry(bytes, Date.now());
    },
    write: async (key, entry) => {
      const temporary = `${path(key)}.${crypto.randomUUID()}`;
      await writeFile(temporary, packEntry(entry, Date.now()));
      await rename(temporary, path(key));
    },
    remove: (key) =>
      rm(path(key)).then(
        (): DeleteStatus => "deleted",
        (error) => absent(error) ?? "missing",
      ),
    close: async () => {},
  };
};

// ---- 32. three tiers: two backends are composed into one

export const threeTiers = createCache({ name: "big" })
  .tier(memory({ maxEntries: 1_000, values: "frozen" }))
  .tier(
    compose(redis(connection).build(), new DynamoBackend(), { read: "sequential", refill: "always", nearTtl: "1m" }),
  )
  .build();

// ---- 33. a format

export const csv = (): Format => ({
  id: "csv.1",
  encode: (value) => {
    if (!Array.isArray(value)) throw new TypeError("csv writes arrays only");
    return new TextEncoder().encode(value.join(","));
  },
  decode: (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes).split(","),
});
describeFormat("csv", { open: csv });

// ---- 34. policies as data: a view is made per call, so a reload takes effect at once

const policies: { current: Record<"users" | "search", Policy> } = {
  current: { users: { ttl: "5m" }, search: { ttl: "10s", jitter: 0.1 } },
};
export const searchNow = (query: Query) =>
  cache.namespace<Product[]>("search", policies.current.search).getOrSet(keyOf("q", query), () => db.search(query));

// ---- 35. a generic helper over any namespace

export class Store<V extends {} | null> {
  constructor(
    private readonly space: Namespace<V>,
    private readonly load: (id: string) => Awaitable<V>,
  ) {}
  get(id: string): Promise<V> {
    return this.space.getOrSet<V>(id, () => this.load(id));
  }
  async put(id: string, value: V): Promise<void> {
    await this.space.set(id, value);
  }
}
export const userStore = new Store(stores.user, (id) => db.getUser(Number(id)));

// ---- 36. an incremental load: what was there is narrowed, not trusted

export const events = () =>
  cache.getOrSet("events", async ({ stale, reason }) => {
    const before = reason !== "forced" && Array.isArray(stale?.value) ? (stale.value as string[]) : [];
    return [...before, "new"];
  });

// ---- 37. no promise where the value is at hand

export const nameOf = async (id: number) => (cache.peek<User>(userKey(id)) ?? (await users.get(id))).name;

// ---- 38. query builders are thenables

declare const queryBuilder: { where(id: number): PromiseLike<User | undefined> & { limit(n: number): unknown } };
export const built: User | null | undefined = await cache.getOrSet("q", () => queryBuilder.where(1));

// ---- 39. Hono: the loader sees only what the key says

declare const hono: {
  get(
    path: string,
    handler: (c: {
      req: { param(name: string): string; query(name: string): string | undefined };
      json(body: unknown): unknown;
    }) => Promise<unknown>,
  ): void;
};
hono.get("/search/:kind", async (c) => {
  const query = { kind: c.req.param("kind"), text: c.req.query("q") ?? "" };
  return c.json(
    await cache.getOrSet(keyOf("search", query), () => db.search(query), {
      ttl: "30s",
      staleWhileRevalidate: "10m",
      tags: ["products"],
    }),
  );
});

// ---- 40. Kubernetes: stop taking work, finish, leave

process.once("SIGTERM", () => void cache.close({ timeout: "20s" }).then(() => process.exit(0)));

// ---- 41. a backend for Memcached: one trip for many, and its own limit on sizes

declare const memcached: {
  get(keys: readonly string[]): Promise<Map<string, Uint8Array>>;
  set(key: string, bytes: Uint8Array, exptime: number): Promise<void>;
  delete(key: string): Promise<boolean>;
  end(): Promise<void>;
};
export const memcachedBackend = (): Backend => {
  const read = async (keys: readonly string[]) => {
    const found = await memcached.get(keys);
    return keys.map((key) => {
      const bytes = found.get(key);
      return bytes && unpackEntry(bytes, Date.now());
    });
  };
  const write = (key: string, entry: StoredEntry) => {
    const atSeconds = entry.expiresInMs === Infinity ? 0 : Math.ceil((Date.now() + entry.expiresInMs) / 1000);
    return memcached.set(key, packEntry(entry, Date.now()), atSeconds);
  };
  const remove = async (key: string): Promise<DeleteStatus> => ((await memcached.delete(key)) ? "deleted" : "missing");
  return {
    label: "memcached",
    format: msgpack(),
    compressor: zstd(),
    maxEntryBytes: 2 ** 20 - 1024,
    deadlineMs: 200,
    read: async (key) => (await read([key]))[0],
    write,
    remove,
    close: () => memcached.end(),
    batch: { read },
  };
};

// ---- 42. from Next's unstable_cache(fn, keyParts, { tags, revalidate }) and revalidateTag

export const getProducts = cache.wrap(async (category: string) => db.search({ text: category }), {
  name: "products",
  tags: (_list, category) => ["products", `category:${category}`],
  ttl: "1h",
});
export const revalidateCategory = (category: string) => cache.invalidateTags(`category:${category}`);
