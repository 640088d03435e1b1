import { createReadStream } from "node:fs";
import { ConfigurationError, createCache, OverloadedError, type Cache, type Namespace } from "@hotset/core";
import { memory } from "@hotset/memory";
import {
  CacheKey,
  CacheTags,
  CacheTTL,
  getCacheToken,
  HotsetHealthIndicator,
  HotsetInterceptor,
  HotsetModule,
  InjectCache,
} from "@hotset/nest";
import { gate, scriptedBackend, TestClock } from "@hotset/testing";
import {
  HttpException,
  SetMetadata,
  StreamableFile,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from "@nestjs/common";
import { APP_INTERCEPTOR, HttpAdapterHost, Reflector } from "@nestjs/core";
import { from, lastValueFrom, of, race } from "rxjs";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { decorate, handler, Injectable, Post, Sse, start, type Platform, type Running } from "./apps.ts";

const newCache = (clock?: TestClock): Cache => {
  const cache = createCache({ name: "shop", ...(clock && { clock }) })
    .tier(memory())
    .defaults({ ttl: "1m" })
    .build();
  onTestFinished(() => cache.close());
  return cache;
};
const root = (cache: Cache = newCache()) => HotsetModule.forRoot({ cache });
const bodies = async ({ get }: Running, ...paths: string[]): Promise<string[]> => {
  const found: string[] = [];
  for (const path of paths) found.push((await get(path)).text);
  return found;
};

describe.each<Platform>(["Express", "Fastify"])("on %s", (platform) => {
  it("C575: 40 requests of a slow handler run it once; hits come by URL, with X-Cache", async () => {
    const leave = gate();
    const slow = async (runs: number, _: unknown, id: string) => {
      await leave.opened;
      return { id, runs };
    };
    const cache = newCache();
    const app = await start({ imports: [root(cache)], controllers: [handler("slow", slow)] }, platform);
    const asked = Array.from({ length: 40 }, () => app.get("/slow/1"));
    await expect.poll(() => cache.stats().waiting).toBe(40);
    leave.open();
    const got = await Promise.all(asked);
    expect(new Set(got.map(({ text }) => text))).toEqual(new Set(['{"id":"1","runs":1}']));
    const [hit, other] = [await app.get("/slow/1"), await app.get("/slow/1?page=2")];
    expect([hit.text, hit.cache]).toEqual(['{"id":"1","runs":1}', "HIT"]);
    expect([other.text, other.cache]).toEqual(['{"id":"1","runs":2}', "MISS"]);
  });

  it("C576: a request that was answered before its handler gives nothing to others", async () => {
    const [running, early] = [gate(), Promise.withResolvers<never>()];
    let isFirst = true;
    class Front implements NestInterceptor {
      intercept(_: ExecutionContext, next: CallHandler) {
        const others = isFirst ? [from(early.promise)] : [];
        isFirst = false;
        return race(next.handle(), ...others);
      }
    }
    const slow = async (runs: number) => {
      if (runs === 1) await running.pass();
      return { runs };
    };
    const cache = newCache();
    const providers = [{ provide: APP_INTERCEPTOR, useClass: Front }];
    const app = await start({ imports: [root(cache)], providers, controllers: [handler("slow", slow)] }, platform);
    const first = app.get("/slow/1");
    await running.arrived();
    const second = app.get("/slow/1");
    await expect.poll(() => cache.stats().waiting).toBe(2);
    early.reject(new HttpException("late", 408));
    expect((await first).status).toBe(408);
    running.open();
    const { status, text } = await second;
    expect([status, text]).toEqual([200, '{"runs":2}']);
  });

  it("C576: an answer that sets a cookie, or is private, is of one request; each other one runs the handler", async () => {
    const leave = gate();
    const setting =
      (name: string, value: (runs: number) => string) =>
      async (runs: number, response: { header(name: string, value: string): unknown }) => {
        await leave.pass();
        response.header(name, value(runs));
        return `of ${runs}`;
      };
    const controllers = [
      handler(
        "cookie",
        setting("Set-Cookie", (runs) => `visitor=${runs}`),
      ),
      handler(
        "private",
        setting("Cache-Control", () => "private, max-age=60"),
      ),
    ];
    const cache = newCache();
    const app = await start({ imports: [root(cache)], controllers }, platform);
    const asked = ["/cookie/1", "/private/1"].map((path) =>
      Promise.all(Array.from({ length: 5 }, () => app.get(path))),
    );
    await expect.poll(() => cache.stats().waiting).toBe(10);
    leave.open();
    const [cookies, others] = await Promise.all(asked);
    for (const got of [cookies!, others!])
      expect(got.map(({ text }) => text).toSorted()).toEqual(["of 1", "of 2", "of 3", "of 4", "of 5"]);
    for (const { text, headers } of cookies!) expect(headers.get("set-cookie")).toBe(text.replace("of ", "visitor="));
    expect(cache.stats().tiers[0]!.entries).toBe(0);
  });

  it("C576: streams, answers of a handler itself, undefined and events pass through", async () => {
    const controllers = [
      handler("file", (runs) => new StreamableFile(Buffer.from(`file ${runs}`))),
      handler("stream", () => new StreamableFile(createReadStream(import.meta.filename, { end: 5 }))),
      handler("nothing", (runs, response) => void response.header("X-Runs", String(runs))),
      handler("own", (runs, response) => response.send(`own ${runs}`), [], { isOwn: true }),
      handler("events", (runs) => of({ data: `event ${runs}` }), [], { method: Sse }),
      handler("posted", (runs) => `posted ${runs}`, [], { method: Post }),
    ];
    const app = await start({ imports: [root()], controllers }, platform);
    expect(await bodies(app, "/file/1", "/file/1", "/stream/1")).toEqual(["file 1", "file 2", "import"]);
    expect(await bodies(app, "/own/1", "/own/1")).toEqual(["own 1", "own 2"]);
    expect((await Promise.all([app.get("/own/2"), app.get("/own/2")])).map(({ text }) => text).toSorted()).toEqual([
      "own 3",
      "own 4",
    ]);
    for (const runs of ["1", "2"]) expect((await app.get("/nothing/1")).headers.get("x-runs")).toBe(runs);
    for (const runs of [1, 2]) expect((await app.get("/events/1")).text).toContain(`data: event ${runs}`);
    for (const runs of [1, 2]) expect((await app.get("/posted/1", { method: "POST" })).text).toBe(`posted ${runs}`);
  });

  it("a hit has the status and the fields that the handler set; a status of 400 or more is not stored", async () => {
    const set = (
      runs: number,
      response: { status(code: number): { header(name: string, value: string): unknown } },
    ) => {
      response.status(203).header("X-Total", "7");
      return { runs };
    };
    const missing = (runs: number, response: { status(code: number): unknown }) => {
      response.status(404);
      return { runs };
    };
    const failing = (runs: number) => {
      throw new HttpException(`no ${runs}`, 503);
    };
    const controllers = [handler("set", set), handler("missing", missing), handler("failing", failing)];
    const app = await start({ imports: [root()], controllers }, platform);
    for (const cache of ["MISS", "HIT"]) {
      const got = await app.get("/set/1");
      expect([got.status, got.headers.get("x-total"), got.text, got.cache]).toEqual([203, "7", '{"runs":1}', cache]);
    }
    for (const runs of [1, 2]) {
      const got = await app.get("/missing/1");
      expect([got.status, got.text]).toEqual([404, `{"runs":${runs}}`]);
      const failed = await app.get("/failing/1");
      expect([failed.status, failed.text]).toEqual([503, `{"statusCode":503,"message":"no ${runs}"}`]);
    }
  });
});

it("takes the metadata of @nestjs/cache-manager and its own: a ttl of the handler, else of the class; keys; tags", async () => {
  const clock = new TestClock();
  const cache = newCache(clock);
  const runs = (count: number) => `${count}`;
  const ofController = handler("class", runs);
  CacheTTL(200)(ofController);
  CacheTags("all")(ofController);
  const controllers = [
    handler("one", runs, [SetMetadata("cache_module:cache_ttl", 100), CacheTags("a", "b")]),
    handler("forever", runs, [CacheTTL(() => Promise.resolve(0)), CacheTags(() => ["c"])]),
    handler("keyed", runs, [SetMetadata("cache_module:cache_key", "fixed")]),
    handler("function", runs, [CacheKey((context: ExecutionContext) => context.getHandler().name), CacheTTL(100)]),
    handler("never", runs, [CacheKey(() => undefined)]),
    ofController,
  ];
  const app = await start({ imports: [root(cache)], controllers });
  const paths = ["/one/1", "/forever/1", "/keyed/1", "/function/1", "/class/1"];
  expect(await bodies(app, ...paths, "/keyed/2", "/function/2", "/never/1", "/never/1")).toEqual([..."111111112"]);
  clock.advance(100);
  expect(await bodies(app, ...paths)).toEqual([..."21121"]);
  clock.advance(100);
  expect(await bodies(app, ...paths)).toEqual([..."31132"]);
  clock.advance(86_400_000);
  await cache.namespace("nest").invalidateTags("b");
  expect(await bodies(app, "/forever/1", "/keyed/1")).toEqual(["1", "2"]);
  await cache.invalidateTags("c", "all");
  expect(await bodies(app, "/forever/1", "/class/1", "/one/1")).toEqual(["2", "3", "4"]);
});

it("a subclass says what a key is, and which methods are cached", async () => {
  class ByUser extends HotsetInterceptor {
    protected override allowedMethods = ["GET", "POST"];
    protected override trackBy(context: ExecutionContext): string | undefined {
      const url = super.trackBy(context);
      const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
      return typeof url === "string" ? `${headers["x-user"]} ${url}` : undefined;
    }
  }
  decorate(ByUser, { onClass: [Injectable()] });
  const controllers = [
    handler("page", (runs) => `${runs}`, [], { interceptor: ByUser }),
    handler("search", (runs) => `${runs}`, [], { interceptor: ByUser, method: Post }),
  ];
  const { get } = await start({ imports: [root()], controllers });
  const by = async (user: string, path: string, method = "GET") =>
    (await get(path, { method, headers: { "x-user": user } })).text;
  expect([await by("ada", "/page/1"), await by("bob", "/page/1"), await by("ada", "/page/1")]).toEqual(["1", "2", "1"]);
  expect([await by("ada", "/search/1", "POST"), await by("ada", "/search/1", "POST")]).toEqual(["1", "1"]);
});

it("a request with Authorization gets the answer of its own run, unless a key is given for it", async () => {
  const cache = newCache();
  class ByUser extends HotsetInterceptor {
    protected override trackBy(context: ExecutionContext): string {
      return context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers["authorization"] ?? "";
    }
  }
  decorate(ByUser, { onClass: [Injectable()] });
  const controllers = [
    handler("page", (runs) => `${runs}`),
    handler("key", (runs) => `${runs}`, [CacheKey("all")]),
    handler("own", (runs) => `${runs}`, [], { interceptor: ByUser }),
  ];
  const { get } = await start({ imports: [root(cache)], controllers });
  const by = async (user: string | undefined, path: string): Promise<string> =>
    (await get(path, user === undefined ? {} : { headers: { authorization: user } })).text;
  const asked = [undefined, "Bearer ada", "Bearer bob", "Bearer ada", undefined];
  const texts = async (path: string): Promise<string[]> => {
    const got: string[] = [];
    for (const user of asked) got.push(await by(user, path));
    return got;
  };
  expect(await texts("/page/1")).toEqual(["1", "2", "3", "4", "1"]);
  expect(await texts("/key/1")).toEqual(["1", "1", "1", "1", "1"]);
  expect([
    await by("Bearer ada", "/own/1"),
    await by("Bearer bob", "/own/1"),
    await by("Bearer ada", "/own/1"),
  ]).toEqual(["1", "2", "1"]);
});

it.each<Platform>(["Express", "Fastify"])(
  "a stale answer whose handler sets a field is followed by a new one: on %s",
  async (platform) => {
    const clock = new TestClock();
    const cache = createCache({ name: "shop", clock })
      .tier(memory())
      .defaults({ ttl: 100, staleWhileRevalidate: "1h", staleIfError: "1h" })
      .build();
    onTestFinished(() => cache.close());
    let isDown = false;
    const sent = gate();
    const controllers = [
      handler("page", async (runs, response) => {
        if (runs === 2) await sent.opened;
        if (isDown) throw new Error("down");
        response.header("x-run", `${runs}`);
        return `${runs}`;
      }),
    ];
    const app = await start({ imports: [root(cache)], controllers }, platform);
    await app.get("/page/1");
    clock.advance(100);
    expect(await app.get("/page/1")).toMatchObject({ text: "1", cache: "STALE" });
    sent.open();
    await expect.poll(async () => Number((await app.get("/page/1")).text)).toBeGreaterThan(1);
    const { text } = await app.get("/page/1");
    clock.advance(100);
    // On Express it was seen that a run without a request fails.
    if (platform === "Express") expect(Number((await app.get("/page/1")).text)).toBeGreaterThan(Number(text));
    isDown = true;
    clock.advance(100);
    expect(await app.get("/page/1")).toMatchObject({ status: 200, cache: "STALE" });
  },
);

it("a stale answer is served while the handler runs once more; X-Cache says so", async () => {
  const clock = new TestClock();
  const cache = createCache({ name: "shop", clock })
    .tier(memory())
    .defaults({ ttl: 100, staleWhileRevalidate: 100 })
    .build();
  onTestFinished(() => cache.close());
  const app = await start({ imports: [root(cache)], controllers: [handler("page", (runs) => `${runs}`)] });
  await app.get("/page/1");
  clock.advance(100);
  const stale = await app.get("/page/1");
  expect([stale.text, stale.cache]).toEqual(["1", "STALE"]);
  await expect.poll(() => app.get("/page/1")).toMatchObject({ text: "2" });
});

it("outside of HTTP only a call with @CacheKey is cached, and nothing is written to an answer", async () => {
  const interceptor = new HotsetInterceptor(newCache(), new Reflector(), new HttpAdapterHost());
  class Events {
    keyed(): void {}
    plain(): void {}
  }
  decorate(Events, { onMethods: { keyed: [CacheKey("events")] } });
  let runs = 0;
  const call = async (method: "keyed" | "plain"): Promise<unknown> => {
    const context = { getType: () => "rpc", getHandler: () => Events.prototype[method], getClass: () => Events };
    const next: CallHandler = { handle: () => of((runs += 1)) };
    return lastValueFrom(await interceptor.intercept(context as unknown as ExecutionContext, next));
  };
  expect([await call("keyed"), await call("keyed"), await call("plain"), await call("plain")]).toEqual([1, 1, 2, 3]);
});

it.each([
  ["", false],
  [" of another copy of the package", true],
])(
  "a cache%s that refuses leaves the answer to the handler; an error of the handler is its own",
  async (_, isOther) => {
    if (isOther) vi.resetModules();
    const copy = await import("@hotset/core");
    expect(copy.createCache === createCache).toBe(!isOther);
    const cache = copy.createCache({ name: "shop" }).tier(memory()).build();
    let ownRuns = 0;
    const app = await start({
      imports: [root(cache)],
      controllers: [
        handler("page", (runs) => `${runs}`),
        handler("own", (runs) => Promise.reject(new OverloadedError(`own ${(ownRuns = runs)}`, {}))),
      ],
    });
    expect([(await app.get("/own/1")).status, ownRuns]).toEqual([500, 1]);
    await cache.close();
    expect(await bodies(app, "/page/1", "/page/1")).toEqual(["1", "2"]);
  },
);

describe("the module", () => {
  it("gives the cache and namespaces with a policy, also by a factory with injected options", async () => {
    const clock = new TestClock();
    class Settings {
      readonly cache = newCache(clock);
    }
    class SettingsModule {}
    class Products {
      readonly cache: Cache;
      readonly products: Namespace<number>;
      constructor(cache: Cache, products: Namespace<number>) {
        this.cache = cache;
        this.products = products;
      }
    }
    decorate(Products, { onParameters: { constructor: [InjectCache(), InjectCache("products")] as never } });
    const { app } = await start({
      imports: [
        HotsetModule.forRootAsync({
          imports: [{ module: SettingsModule, providers: [Settings], exports: [Settings] }],
          inject: [Settings],
          useFactory: async ({ cache }: Settings) => ({ cache }),
        }),
        HotsetModule.forFeature<number>({ namespace: "products", ttl: 100 }),
      ],
      providers: [Products],
    });
    const { cache, products } = app.get(Products);
    expect(cache).toBe(app.get(Settings, { strict: false }).cache);
    expect(app.get(getCacheToken(), { strict: false })).toBe(cache);
    await products.set("a", 1);
    expect(await cache.namespace("products").get("a")).toBe(1);
    clock.advance(100);
    expect(await products.get("a")).toBe(undefined);
  });

  it("C577: closes a cache that it built after the last request, and leaves the program its own", async () => {
    const leave = gate<string>();
    const own = newCache();
    const first = await start({ imports: [root(own)] });
    await first.app.close();
    expect(await own.getOrSet("still", () => "open")).toBe("open");

    let built: Cache | undefined;
    const build = () => (built = newCache());
    const { app, get } = await start({
      imports: [HotsetModule.forRoot({ build })],
      controllers: [handler("slow", () => leave.pass())],
    });
    const asked = get("/slow/1", { headers: { connection: "close" } });
    await leave.arrived();
    const closing = app.close();
    leave.open("answered");
    expect((await asked).text).toBe("answered");
    await closing;
    await expect(built!.get("a")).rejects.toThrow("closed");
  });

  it("refuses both and neither of build and cache", async () => {
    const both = { cache: newCache(), build: () => newCache() } as never;
    for (const options of [both, {} as never, undefined as never])
      await expect(start({ imports: [HotsetModule.forRoot(options)] })).rejects.toThrow(ConfigurationError);
  });

  it.each<[string, object]>([
    [': unknown option "biuld"; did you mean build?', { biuld: () => newCache() }],
    [": build must be a function that returns a cache, such as () => cache, got a number", { build: 1 }],
    [".build() gives, got an object; did you forget .build()?", { build: () => createCache({ name: "a" }) }],
    [
      ": cache must be what createCache(...).build() gives, got an object; did you forget .build()?",
      { cache: createCache({ name: "a" }) },
    ],
  ])("says what is wrong, and where: %s", async (sentence, options) => {
    const starting = start({ imports: [HotsetModule.forRoot(options as never)] });
    await expect(starting).rejects.toThrow(ConfigurationError);
    await expect(starting).rejects.toThrow(/^HotsetModule\.forRoot: /);
    await expect(starting).rejects.toThrow(sentence);
  });

  it("C577: the health indicator asks each tier, and says which one is down", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    const cache = createCache({ name: "shop", clock }).tier(memory()).tier(backend).build();
    onTestFinished(() => cache.close());
    const { app } = await start({ imports: [root(cache)] });
    const health = app.get(HotsetHealthIndicator, { strict: false });
    expect(await health.isHealthy()).toEqual({
      hotset: { status: "up", tiers: { memory: "up", [backend.label]: "up" } },
    });
    backend.down();
    expect(await health.isHealthy("cache")).toEqual({
      cache: { status: "down", tiers: { memory: "up", [backend.label]: "down" } },
    });
    backend.up();
    expect((await health.isHealthy())["hotset"]!.status).toBe("up");
  });
});
