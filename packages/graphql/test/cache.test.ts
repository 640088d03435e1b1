import { join } from "node:path";
import { createCache, json, type Cache } from "@hotset/core";
import { graphqlCache, type GraphQLCacheOptions } from "@hotset/graphql";
import { memory } from "@hotset/memory";
import { sqlite } from "@hotset/sqlite";
import { temporaryDirectory } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { afterAll, expect, it, vi } from "vitest";

const open: Cache[] = [];
afterAll(async () => {
  await Promise.all(open.map((cache) => cache.close()));
});

function newResponses({ file, ...options }: GraphQLCacheOptions & { readonly file?: string } = {}) {
  const clock = new TestClock();
  const local = createCache({ name: "shop", clock }).tier(memory());
  // Windows of the cache must not reach the responses.
  const cache = (file === undefined ? local : local.tier(sqlite(file, { format: json() })))
    .defaults({ ttl: "1m", staleWhileRevalidate: "1h", staleIfError: "1h" })
    .build();
  open.push(cache);
  return { responses: graphqlCache(cache, options), cache, clock };
}
const folder = await temporaryDirectory("graphql");
let files = 0;
const newFile = (): string => join(folder, `${(files += 1)}.db`);

const result = { data: { user: { name: "Ada" } } };
const user = { typename: "User", id: 1 };

it("a response ends by its entity, by its type, and by no others", async () => {
  const { responses } = newResponses();
  const ends = async (entity: { readonly typename: string; readonly id?: number | string }): Promise<boolean> => {
    await responses.set("q", result, [user, { typename: "Post" }], Infinity);
    expect(await responses.get("q")).toEqual(result);
    await responses.invalidate([entity]);
    return (await responses.get("q")) === undefined;
  };
  expect(await ends(user)).toBe(true);
  expect(await ends({ typename: "User", id: "1" })).toBe(true);
  expect(await ends({ typename: "User" })).toBe(true);
  expect(await ends({ typename: "Post" })).toBe(true);
  expect(await ends({ typename: "User", id: 2 })).toBe(false);
  expect(await ends({ typename: "Post", id: 1 })).toBe(false);
  expect(await ends({ typename: "Use" })).toBe(false);
});

it("C596: a list of 2,000 entities is cached, and any one of them ends it", async () => {
  const file = newFile();
  const [here, there] = [newResponses({ file }), newResponses({ file })];
  const id = (i: number): string => `0b1f7f6e-4a58-4a0b-8a33-${String(i).padStart(12, "0")}`;
  const entities = Array.from({ length: 2_000 }, (_, i) => ({ typename: "Product", id: id(i) }));
  for (const one of [0, 1_000, 1_999]) {
    await here.responses.set("list", result, entities, 60_000);
    expect(await here.responses.get("list")).toEqual(result);
    await expect.poll(() => there.responses.get("list")).not.toBe(undefined);
    await there.responses.invalidate([{ typename: "Product", id: id(one) }]);
    expect(await there.responses.get("list")).toBe(undefined);
    await expect.poll(() => here.responses.get("list")).toBe(undefined);
  }
  await here.responses.set("list", result, entities, 60_000);
  await here.responses.invalidate([{ typename: "Product", id: id(2_000) }]);
  expect(await here.responses.get("list")).toEqual(result);
});

it("C586: a response whose query began before a change by any process is not stored after it", async () => {
  const file = newFile();
  const [here, there] = [newResponses({ file }), newResponses({ file })];
  for (const { responses } of [here, there])
    for (const entity of [user, { typename: "User" }]) {
      expect(await here.responses.get("q")).toBe(undefined);
      await responses.invalidate([entity]);
      await here.responses.set("q", result, [user], 60_000);
      const found = await Promise.all([here, there].map(({ cache }) => cache.namespace("graphql").has("result:q")));
      expect(found).toEqual([false, false]);
    }
  expect(await here.responses.get("q")).toBe(undefined);
  await there.responses.invalidate([{ typename: "Post" }]);
  await here.responses.set("q", result, [user], 60_000);
  expect(await there.responses.get("q")).toEqual(result);
});

it("entities are tags of the cache; those with long ids, or in other scripts, end their response as well", async () => {
  const { responses, cache } = newResponses();
  const entities = ["x".repeat(5_000), "Ä", ""].map((id) => ({ typename: "User", id }));
  for (const entity of entities) {
    await responses.set("q", result, [entity, user], 60_000);
    expect(await responses.get("q")).toEqual(result);
    await responses.invalidate([entity]);
    expect(await responses.get("q")).toBe(undefined);
  }
  await responses.set("q", result, [user], 60_000);
  await cache.namespace("graphql").invalidateTags("User:1");
  expect(await responses.get("q")).toBe(undefined);
});

it("ends after its ttl in milliseconds, or after that of the option, and is not served after it", async () => {
  const { responses, clock } = newResponses({ ttl: "10s" });
  await responses.set("zero", result, [], 0);
  await responses.set("short", result, [], 1_500.5);
  await responses.set("long", result, [], Infinity);
  const found = async () => Promise.all(["zero", "short", "long"].map(async (id) => Boolean(await responses.get(id))));
  expect(await found()).toEqual([false, true, true]);
  clock.advance(1_500);
  expect(await found()).toEqual([false, true, true]);
  clock.advance(1);
  expect(await found()).toEqual([false, false, true]);
  clock.advance(8_499);
  expect(await found()).toEqual([false, false, false]);
});

it("plugins may add to the result that was stored, and to the one that is read; errors are as they are sent", async () => {
  const { responses } = newResponses();
  const error = Object.assign(new Error("no"), { toJSON: () => ({ message: "no" }) });
  for (const [errors, read] of [
    [undefined, {}],
    [[error], { errors: [{ message: "no" }] }],
  ] as const) {
    const sent = { ...result, extensions: { a: 1 }, ...(errors && { errors }) };
    await responses.set("q", sent, [], 60_000);
    Object.assign(sent, { extensions: {} });
    Object.assign((await responses.get("q"))!, { extensions: { hit: true } });
    expect(await responses.get("q")).toEqual({ ...result, extensions: { a: 1 }, ...read });
  }
});

it("no call rejects: a response that cannot be written is not cached, and a warning says so once", async () => {
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
  const { responses, cache } = newResponses({ file: newFile() });
  const many = Array.from({ length: 3_000 }, (_, id) => ({ typename: "User", id }));
  for (const entities of [[], many]) await responses.set("q", { data: { n: 1n } }, entities, 60_000);
  expect(await responses.get("q")).toBe(undefined);
  expect(warned.mock.calls.map(([text]) => text)).toEqual([
    expect.stringMatching(/^graphql: responses are not cached: json: /),
  ]);
  await cache.close();
  expect(await responses.get("q")).toBe(undefined);
  await responses.invalidate([user]);
  expect(warned.mock.calls.slice(1).map(([text]) => String(text).split(":", 2)[1])).toEqual([
    " responses are not read",
    " responses are not invalidated",
  ]);
  warned.mockRestore();
});

it("refuses bad options", () => {
  const { cache } = newResponses();
  expect(() => graphqlCache({} as never)).toThrow(/^graphqlCache: cache must be .* got an object$/);
  expect(() => graphqlCache(cache, { tttl: 1 } as never)).toThrow("did you mean ttl");
  expect(() => graphqlCache(cache, { ttl: "1 day" as never })).toThrow("ttl");
});
