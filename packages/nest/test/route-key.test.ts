import { request } from "node:http";
import { createCache, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { HotsetInterceptor, HotsetModule } from "@hotset/nest";
import {
  Controller,
  Get,
  Req,
  SetMetadata,
  UseInterceptors,
  Version,
  VERSION_NEUTRAL,
  VersioningType,
  type ExecutionContext,
  type ModuleMetadata,
  type Type,
  type VersioningOptions,
} from "@nestjs/common";
import { APP_INTERCEPTOR, HttpAdapterHost, Reflector } from "@nestjs/core";
import { describe, expect, it, onTestFinished } from "vitest";
import { decorate, Injectable, start, type Platform } from "./apps.ts";

interface Asked {
  readonly headers: Readonly<Record<string, string>>;
  readonly method: string;
}
type Handler = (asked: Asked, runs: number) => unknown;

/** Of one name, as two modules have controllers for two versions. */
function products(
  run: Handler,
  options: object,
  decorators: readonly MethodDecorator[] = [],
  { isPlain = false } = {},
) {
  let runs = 0;
  class Products {
    find(asked: Asked): unknown {
      return run(asked, (runs += 1));
    }
  }
  return decorate(Products, {
    onClass: [Controller({ path: "products", ...options }), ...(isPlain ? [] : [UseInterceptors(HotsetInterceptor)])],
    onMethods: { find: [Get(), ...decorators] },
    onParameters: { find: [Req()] },
  });
}

async function app(
  platform: Platform,
  controllers: readonly Type[],
  { versioning, ...metadata }: ModuleMetadata & { readonly versioning?: VersioningOptions } = {},
) {
  const cache: Cache = createCache({ name: "shop" }).tier(memory()).build();
  onTestFinished(() => cache.close());
  const all = { ...metadata, imports: [HotsetModule.forRoot({ cache })], controllers: [...controllers] };
  const { app: running } = await start(all, platform, (made) => versioning && made.enableVersioning(versioning));
  const { port } = new URL(await running.getUrl());
  // `fetch` sets no Host.
  const get = (path: string, headers: Record<string, string> = {}, method = "GET") =>
    new Promise<string>((resolve, reject) => {
      const asked = request({ host: "127.0.0.1", port, path, headers, method, agent: false }, (response) => {
        const parts = response.setEncoding("utf8").toArray() as Promise<string[]>;
        const status = response.statusCode === 200 ? "" : `${response.statusCode} `;
        parts.then((all) => resolve(status + all.join("")), reject);
      });
      asked.on("error", reject).end();
    });
  return { get, cache };
}

describe.each<Platform>(["Express", "Fastify"])("C576: on %s, an answer belongs to", (platform) => {
  it.each<[string, VersioningOptions, (version: string) => Record<string, string>]>([
    ["a header", { type: VersioningType.HEADER, header: "X-Api-Version" }, (version) => ({ "x-api-version": version })],
    [
      "the media type",
      { type: VersioningType.MEDIA_TYPE, key: "v=" },
      (version) => ({ accept: `application/json;v=${version}` }),
    ],
    [
      "a function",
      {
        type: VersioningType.CUSTOM,
        extractor: (asked) => String((asked as Asked).headers["user-agent"] ?? "").replace("app/", ""),
      },
      (version) => ({ "user-agent": `app/${version}` }),
    ],
  ])("a version by %s", async (_, versioning, fields) => {
    const seen = ({ headers }: Asked) => headers["x-api-version"] ?? headers["user-agent"] ?? headers["accept"];
    const controllers = [
      products((_asked, runs) => `one ${runs}`, { version: "1" }),
      products((_asked, runs) => `two ${runs}`, {}, [Version("2")]),
      products((asked, runs) => `${seen(asked)} ${runs}`, { version: ["3", "4"] }),
    ];
    const { get } = await app(platform, controllers, { versioning });
    const of = async (version: string) => [
      await get("/products", fields(version)),
      await get("/products", fields(version)),
    ];
    expect([await of("1"), await of("2")]).toEqual([
      ["one 1", "one 1"],
      ["two 1", "two 1"],
    ]);
    const field = (version: string) => Object.values(fields(version))[0];
    expect([await of("3"), await of("4")]).toEqual([
      [`${field("3")} 1`, `${field("3")} 1`],
      [`${field("4")} 2`, `${field("4")} 2`],
    ]);
  });

  it("the versions of the application, where a route names none", async () => {
    const versioning: VersioningOptions = {
      ...{ type: VersioningType.HEADER, header: "x-api-version" },
      defaultVersion: ["1", "2", VERSION_NEUTRAL],
    };
    const { get } = await app(platform, [products(({ headers }) => headers["x-api-version"] ?? "none", {})], {
      versioning,
    });
    const found = [await get("/products", { "x-api-version": "1" }), await get("/products", { "x-api-version": "2" })];
    expect([...found, await get("/products")]).toEqual(["1", "2", "none"]);
  });

  it("a host", async () => {
    const tenants = products(({ headers }, runs) => `of ${headers["host"]} ${runs}`, { host: ":tenant.example" });
    // On Fastify, Nest takes one controller for a path.
    const own = platform === "Express" ? [products(() => "of a.example 1", { host: "a.example" })] : [];
    const { get } = await app(platform, [...own, tenants]);
    const found: string[] = [];
    for (const host of ["a.example", "b.example", "B.example", "b.example:8080"])
      found.push(await get("/products", { host }));
    const ofTenants = platform === "Express" ? [1, 2] : [2, 3];
    const [first, second] = ofTenants.map((runs, i) => `of b.example${i === 0 ? "" : ":8080"} ${runs}`);
    expect(found).toEqual(["of a.example 1", first, first, second]);
  });

  it("its own parts: no space or percent sign of a field moves one into another", async () => {
    const versioning: VersioningOptions = { type: VersioningType.HEADER, header: "x-api-version" };
    const { get, cache } = await app(platform, [products(() => "found", { version: VERSION_NEUTRAL })], { versioning });
    await get("/products?a%20b", { host: "a.example", "x-api-version": "1 2" });
    await get("/products?a%20b", { host: "a.example", "x-api-version": "1%202" });
    await get("/products", { host: "a.example /products?b" });
    await get("/products?b", { host: "a.example" });
    expect(cache.stats().tiers[0]!.entries).toBe(4);
  });
});

describe("C575: two interceptors around one handler", () => {
  class ByUser extends HotsetInterceptor {
    protected override trackBy(context: ExecutionContext): string {
      return context.switchToHttp().getRequest<Asked>().headers["x-user"] ?? "";
    }
  }
  decorate(ByUser, { onClass: [Injectable()] });
  const global = (useClass: Type) => ({ providers: [{ provide: APP_INTERCEPTOR, useClass }] });

  it("of one key are one visit", async () => {
    const { get, cache } = await app(
      "Express",
      [products((_, runs) => `${runs}`, {}, [UseInterceptors(HotsetInterceptor)])],
      global(HotsetInterceptor),
    );
    const together = await Promise.all([get("/products"), get("/products")]);
    expect([...together, await get("/products")]).toEqual(["1", "1", "1"]);
    expect([cache.stats().tiers[0]!.entries, cache.stats().loads]).toEqual([1, 1]);
  });

  it.each([
    ["the outer", ByUser, HotsetInterceptor],
    ["the inner", HotsetInterceptor, ByUser],
  ])("share an answer with no other user where %s one tells users apart", async (_, outer, inner) => {
    const run: Handler = ({ headers }, runs) => `${headers["x-user"]} ${runs}`;
    const { get } = await app(
      "Express",
      [products(run, {}, [UseInterceptors(inner)], { isPlain: true })],
      global(outer),
    );
    const of = (user: string) => get("/products", { "x-user": user });
    expect([await of("ada"), await of("bob"), await of("ada"), await of("bob")]).toEqual([
      "ada 1",
      "bob 2",
      "ada 1",
      "bob 2",
    ]);
  });
});

it("C576: a route with several versions is not cached where the version of a request cannot be known", () => {
  class Key extends HotsetInterceptor {
    of = (handler: () => void) =>
      this.trackBy({
        getType: () => "http",
        getHandler: () => handler,
        getClass: () => Key,
        switchToHttp: () => ({ getRequest: () => ({ method: "GET", headers: { host: "a" } }) }),
      } as unknown as ExecutionContext);
  }
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  const adapters = new HttpAdapterHost();
  adapters.httpAdapter = { getRequestHostname: () => "a", getRequestUrl: () => "/" } as never;
  const key = new Key(cache, new Reflector(), adapters);
  const find = (version?: unknown) => {
    function handler() {}
    if (version !== undefined) SetMetadata("__version__", version)(handler);
    return key.of(handler);
  };
  expect([find(), find("1"), find(["1", "2"]), find(VERSION_NEUTRAL)]).toEqual([
    "Key.handler GET a / ",
    "Key.handler GET a / 1",
    undefined,
    undefined,
  ]);
});
