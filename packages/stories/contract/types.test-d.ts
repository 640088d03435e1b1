// Code that must and must not compile against the built packages. `same<A, B>(true)` holds if types are identical.

import {
  type Backend,
  type Cache,
  cluster,
  compose,
  createCache,
  fromClient,
  keyOf,
  type LoadContext,
  memory,
  type Namespace,
  redis,
  sentinel,
  single,
  type StandardSchema,
  zstd,
} from "hotset";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(yes: Same<A, B>): void;

interface User {
  id: number;
  name: string;
  role: "admin" | "guest";
}
declare const maybeUser: () => Promise<User | undefined>;
declare const findUser: (id: number, options?: { signal?: AbortSignal }) => Promise<User>;
declare const cache: Cache;
declare const users: Namespace<User>;
declare const flags: Namespace<boolean>;
declare const schema: StandardSchema<User>;

// ---- inference of the loaded type

const plain = await cache.getOrSet("k", () => findUser(1), { shouldStore: (user) => user.id > 1 });
same<typeof plain, User>(true);
const withContext = await cache.getOrSet("k", ({ signal }) => findUser(1, { signal }));
same<typeof withContext, User>(true);
const conditional = await cache.getOrSet("k", async (ctx) => (ctx.stale ? ctx.stale.notModified() : findUser(1)));
same<typeof conditional, User>(true);
const branches = await cache.getOrSet("k", async ({ stale }) => {
  if (stale?.etag !== undefined) return stale.notModified();
  const user = await maybeUser();
  if (user === undefined) return null;
  return user;
});
same<typeof branches, User | null>(true);
const unstored = await cache.getOrSet("k", async (ctx) => ctx.noStore(await maybeUser()));
same<typeof unstored, User | undefined>(true);
const absent = await cache.getOrSet("k", async () => (await maybeUser()) ?? null);
same<typeof absent, User | null>(true);
const text = await cache.getOrSet("k", () => "a");
same<typeof text, string>(true);
const flag = await cache.getOrSet("k", () => false);
same<typeof flag, boolean>(true);
const record = await cache.getOrSet("k", () => ({ role: "admin" }));
same<typeof record, { role: string }>(true);
const given = await cache.getOrSet<User>("k", (ctx) => findUser(Number(ctx.key)));
same<typeof given, User>(true);

// ---- reading

const anything = await cache.get("k");
same<typeof anything, unknown>(true);
const said = await cache.get<User>("k");
same<typeof said, User | undefined>(true);
const typed = await users.get("1");
same<typeof typed, User | undefined>(true);
const many = await users.getMany(["1"]);
same<typeof many, Map<string, User>>(true);
const peeked = cache.peek<User>("k");
same<typeof peeked, User | undefined>(true);

// ---- typed namespaces

const typedFlag = await flags.getOrSet("x", () => false);
same<typeof typedFlag, boolean>(true);
const typedUser = await users.getOrSet("1", () => ({ id: 1, name: "Ada", role: "admin" as const }));
same<typeof typedUser, User>(true);
const checked = cache.namespace("users", { schema });
same<typeof checked, Namespace<User>>(true);
const untyped = cache.namespace("users");
same<typeof untyped, Namespace<unknown>>(true);
// @ts-expect-error the loader's type is not the namespace's
users.getOrSet("1", () => ({ id: "1", name: "Ada" }));
// @ts-expect-error nor is the value's
flags.set("x", "yes");
// @ts-expect-error not even with more properties: they would be stored
users.set("1", { id: 1, name: "Ada", role: "admin", passwordHash: "…" });
// @ts-expect-error a view cannot be read as another type
users.get<string>("1");
// @ts-expect-error nor narrowed to one by a namespace below it
users.namespace<string>("x");
// @ts-expect-error a view has no life of its own: closing it would close everyone's cache
users.close();
function generic<V>(space: Namespace<V>, load: () => Promise<V>): Promise<V> {
  return space.getOrSet<V>("k", load);
}
generic(users, () => findUser(1));
const all: Namespace<any>[] = [users, flags, cache];
void all.map((space) => space.clear());
// @ts-expect-error through it anything could be stored among users; a list of mixed ones is Namespace<any>[]
const widened: Namespace<unknown> = users;
// @ts-expect-error another type
const other: Namespace<User> = flags;
void [widened, other];
// @ts-expect-error a loader that may find nothing says so: Namespace<User | null>, and null
users.getOrSet("1", maybeUser);

// ---- writing

cache.set("k", null);
cache.set("k", 0);
cache.setMany([
  ["a", 1],
  ["b", { c: "d" }],
]);
cache.setMany(new Map([["a", 1]]));
// ---- what programs write around a cache

export const store: { set<T>(key: string, value: T): Promise<unknown> } = {
  set: <T>(key: string, value: T) => cache.set<T>(key, value, { ttl: "5m" }),
};
declare const isTest: boolean;
const chosen = createCache({ name: "chosen" }).tier(isTest ? memory() : redis("redis://localhost").build());
chosen.defaults({ ttl: "5m" }).build();
// @ts-expect-error which it is, is not known, so that none can follow
chosen.tier(redis("redis://localhost").build());
// @ts-expect-error a named type is checked as well
cache.set<User>("k", { id: 1 });

// @ts-expect-error undefined is never stored
cache.set("k", undefined);
// @ts-expect-error nor is what may be undefined
cache.set("k", await maybeUser());
// @ts-expect-error a promise that was not awaited, where the type is known
users.set("1", findUser(1));
// @ts-expect-error tags are a list
cache.set("k", 1, { tags: "users" });
cache.invalidateTags(["a"]);
// @ts-expect-error one list, or tags one by one
cache.invalidateTags(["a"], "b");
// @ts-expect-error keys are strings
cache.delete(1);
// @ts-expect-error the result says what happened; it is not a boolean
const deleted: boolean = await cache.delete("k");
void deleted;

// ---- durations and options

cache.set("k", 1, { ttl: "5m", staleIfError: Infinity, jitter: 0.1 });
// @ts-expect-error no unit
cache.set("k", 1, { ttl: "5" });
// @ts-expect-error no such unit
cache.set("k", 1, { ttl: "5 minutes" });
// @ts-expect-error text known only at run time goes through parseDuration
cache.set("k", 1, { ttl: String(process.env["TTL"]) });
// With exactOptionalPropertyTypes as well, undefined sets nothing.
cache.set("k", 1, { ttl: undefined });
// @ts-expect-error only a load can be forced
cache.set("k", 1, { forceRefresh: true });
// @ts-expect-error an etag belongs to one value
createCache({ name: "x" }).tier(memory()).defaults({ etag: "x" });
createCache({ name: "x" })
  .tier(memory())
  // @ts-expect-error tags belong to one value
  .defaults({ tags: ["x"] });
// @ts-expect-error a load cannot be given a validator ahead of its value
cache.getOrSet("k", () => 1, { etag: "x" });
// @ts-expect-error no such option
cache.getOrSet("k", () => 1, { staleWhileRevalidates: 1 });

// ---- loaders

// @ts-expect-error only an entry that is there can be renewed
cache.getOrSet("k", (ctx) => ctx.stale.notModified());
cache.getOrSet("k", (ctx) => {
  // @ts-expect-error a context is read-only
  ctx.key = "x";
  return 1;
});
// @ts-expect-error what was stored is unchecked: narrow it first
cache.getOrSet("k", (ctx: LoadContext) => ctx.stale?.value.length ?? 0);
// @ts-expect-error a value is not a loader
cache.getOrSet("k", 1);

// ---- many

const batch = await cache.getOrSetMany(
  [1, 2],
  (id) => keyOf("user", id),
  async (missing, ctx) => {
    same<typeof missing, readonly number[]>(true);
    const rows = await Promise.all(missing.map((id) => findUser(id, { signal: ctx.signal })));
    for (const row of rows) ctx.setOptions(row.id, { tags: [row.name] });
    return rows.map((row) => [row.id, row] as const);
  },
);
same<typeof batch, Map<number, User>>(true);
const fromMap = await cache.getOrSetMany(
  ["a"],
  (k) => k,
  (missing) => new Map(missing.map((k) => [k, k.length])),
);
same<typeof fromMap, Map<string, number>>(true);
const withNull = await cache.getOrSetMany(
  ["a"],
  (k) => k,
  (missing) => missing.map((k) => [k, k === "a" ? k.length : null] as const),
);
same<typeof withNull, Map<string, number | null>>(true);
const tagged = await cache.getOrSetMany(
  [1, 2],
  (id) => keyOf("user", id),
  async (missing) => Promise.all(missing.map(async (id) => [id, await findUser(id)] as const)),
  {
    tags: (id, user) => {
      same<[typeof id, typeof user], [number, User]>(true);
      return [user.name];
    },
    ttl: (id, user) => (user.id === id ? "1m" : undefined),
  },
);
same<typeof tagged, Map<number, User>>(true);
// @ts-expect-error values of this namespace are never null
cache.namespace<number>("n").getOrSetMany(["a"], String, () => [["a", null] as const]);
// @ts-expect-error an array of values does not say which item each belongs to
cache.getOrSetMany([1, 2], String, (missing) => Promise.all(missing.map((id) => findUser(id))));

await cache.getOrSet("k", () => 1, {
  onServed: ({ expiresInMs }) => {
    same<typeof expiresInMs, number | undefined>(true);
  },
});

// ---- wrap

const wrapped = cache.wrap(findUser, {
  name: "user",
  key: (id) => String(id),
  tags: (user, id) => [user.name, id.toFixed()],
});
same<ReturnType<typeof wrapped>, Promise<User>>(true);
same<Parameters<typeof wrapped>, Parameters<typeof findUser>>(true);
const sync = cache.wrap((a: number, b: string) => a + b, { name: "sum" });
same<ReturnType<typeof sync>, Promise<string>>(true);
const optional = cache.wrap(async (id: number, locale?: string) => `${id}${locale}`, {
  name: "o",
  tags: (_value, id) => [String(id)],
});
cache.wrap(findUser, {
  name: "by result",
  key: String,
  ttl: (user, id) => {
    same<typeof user, User>(true);
    same<typeof id, number>(true);
    return user.role === "admin" ? "1m" : undefined;
  },
  shouldStore: (user, id) => user.id === id,
});
// @ts-expect-error a duration, or undefined
cache.wrap(async (id: number) => id, { name: "x", ttl: (id) => id > 1 });
// @ts-expect-error true or false
cache.wrap(async (id: number) => id, { name: "x", shouldStore: (id) => id });
optional(1);
optional(1, "en");
// @ts-expect-error arguments are those of the function
optional("1");
// @ts-expect-error a name is needed: functions of one name would share values
cache.wrap(async (id: number) => id, {});
// @ts-expect-error a Request is not plain data, so a key is needed
cache.wrap(async (request: Request) => request.url, { name: "page" });
// @ts-expect-error the wrapped function must give the namespace's type
users.wrap(async (id: number) => id, { name: "x" });

const typedWrap = flags.wrap(async (name: string) => name === "x", { name: "flag" });
same<ReturnType<typeof typedWrap>, Promise<boolean>>(true);
const literal = flags.wrap(() => false, { name: "off" });
same<ReturnType<typeof literal>, Promise<boolean>>(true);
const byShape = cache.wrap(async (query: Query, ...rest: number[]) => query.text + rest.length, { name: "q" });
same<Parameters<typeof byShape>, [query: Query, ...rest: number[]]>(true);
void [typedWrap.key("x"), literal, byShape({ text: "a" }, 1, 2)];

// ---- keys

interface Query {
  text: string;
  page?: number;
}
declare const query: Query;
keyOf("search", query, [1, "a"], new Date(), null, 1n);
// @ts-expect-error functions are no data
keyOf("x", () => 1);
// @ts-expect-error nor are objects with methods
keyOf("x", new Map());
// @ts-expect-error nor symbols
keyOf("x", Symbol("x"));

// ---- building

declare const backend: Backend;
createCache({ name: "a" }).tier(memory()).build();
createCache({ name: "a" }).tier(backend).build();
createCache({ name: "a" }).tier(memory()).defaults({ ttl: 1 }).tier(backend).build();
createCache({ name: "a" }).defaults({ ttl: 1 }).tier(memory()).build();
// @ts-expect-error a name is needed: unnamed caches would share keys
createCache({});
// @ts-expect-error a cache has a tier
createCache({ name: "a" }).build();
// @ts-expect-error the local tier comes first
createCache({ name: "a" }).tier(backend).tier(memory());
// @ts-expect-error there is one
createCache({ name: "a" }).tier(memory()).tier(memory());
// @ts-expect-error two backends become one with compose
createCache({ name: "a" }).tier(backend).tier(backend);
createCache({ name: "a" }).tier(compose(backend, backend, { nearTtl: "1m" }));
// @ts-expect-error nearTtl bounds how old a copy in near may be
compose(backend, backend, { read: "race" });
// @ts-expect-error so it must be given
compose(backend, backend);
// @ts-expect-error a builder is not a backend yet: build()
createCache({ name: "a" }).tier(redis("redis://localhost"));

// ---- redis

declare const client: Parameters<typeof fromClient>[0];
redis(single("redis://a")).username("u").build();
redis(fromClient(client)).keyPrefix("x").build();
// @ts-expect-error a client of yours is connected already
redis(fromClient(client)).username("u");
// @ts-expect-error and keeps its own retries
redis(fromClient(client)).keyPrefix("x").retries(3);
// @ts-expect-error replicas are a matter of clusters
single("redis://a", { readFromReplicas: true });
// @ts-expect-error which primary?
sentinel(["redis://s"]);
// @ts-expect-error nodes are a list
cluster("redis://a");
// @ts-expect-error a client is wrapped with fromClient, so that it is clear who closes it
redis(client);
// @ts-expect-error sizes name their unit: minBytes
zstd({ threshold: 1024 });
// @ts-expect-error not a format for keys
redis("redis://a").keyFormat("json");

// ---- events

cache.on("hit", (event) => {
  same<typeof event.tier, string>(true);
});
cache.on("load:error", ({ error }) => {
  same<typeof error, unknown>(true);
});
same<ReturnType<typeof cache.on>, () => void>(true);
// @ts-expect-error no such event
cache.on("hits", () => {});
// @ts-expect-error no event carries a value
cache.on("hit", ({ value }) => value);
