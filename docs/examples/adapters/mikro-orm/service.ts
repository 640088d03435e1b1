// One process of a service over MikroORM and PostgreSQL. The test runs two of them over one Redis.

import { answerCalls } from "@hotset/test-servers";
import { EntitySchema, MikroORM } from "@mikro-orm/postgresql";
import { createCache, memory, redis } from "hotset";
import { resultCache } from "./result-cache.ts";

interface Author {
  id: number;
  name: string;
  born?: Date | null;
}
interface Book {
  id: number;
  title: string;
  author: Author;
}
const author = new EntitySchema<Author>({
  name: "Author",
  properties: {
    id: { type: "number", primary: true },
    name: { type: "string" },
    born: { type: "Date", nullable: true },
  },
});
const book = new EntitySchema<Book>({
  name: "Book",
  properties: {
    id: { type: "number", primary: true },
    title: { type: "string" },
    author: { kind: "m:1", entity: () => author },
  },
});

const cache = createCache({ name: "library" })
  .tier(memory())
  .tier(redis(process.env["REDIS_URL"]!).keyPrefix(process.env["KEY_PREFIX"]!).responseTimeout("15s").build())
  .build();
const { ResultCache, subscriber } = resultCache(cache, { ttl: "10m" });

let queries = 0;
/** A query ends with `release`. */
let held: { readonly read: () => void; readonly until: Promise<void> } | undefined;
class HeldResults extends ResultCache {
  override async set(...given: Parameters<InstanceType<typeof ResultCache>["set"]>): Promise<void> {
    held?.read();
    await held?.until;
    return super.set(...given);
  }
}
const orm = await MikroORM.init({
  entities: [author, book],
  clientUrl: process.env["POSTGRES_URL"]!,
  schema: process.env["SCHEMA"]!,
  resultCache: { adapter: HeldResults, expiration: 600_000 },
  subscribers: [subscriber],
  debug: ["query"],
  colors: false,
  logger: (message) => {
    if (/\bselect\b/.test(message)) queries += 1;
  },
});
const em = () => orm.em.fork();

const nameOf = async (id: number): Promise<string | undefined> =>
  (await em().findOne(author, { id }, { cache: 600_000 }))?.name;

let running: Promise<unknown> | undefined;
let release: (() => void) | undefined;

export const handlers = {
  async create(): Promise<void> {
    await orm.schema.create();
    await em().insertMany(author, [
      { id: 1, name: "Ada", born: new Date("1815-12-10") },
      { id: 2, name: "Bea" },
    ]);
    await em().insert(book, { id: 1, title: "Notes", author: 1 });
  },
  nameOf,
  find: async (id: number): Promise<{ name: string; born: string | undefined }[]> =>
    (await em().find(author, { id }, { cache: 600_000 })).map(({ name, born }) => ({
      name,
      born: born?.toISOString(),
    })),
  count: () => em().count(author, {}, { cache: 600_000 }),
  named: async () => (await em().find(author, {}, { cache: ["all", 600_000] })).length,
  clearNamed: () => em().clearCache("all"),
  titlesBy: async (name: string) => (await em().find(book, { author: { name } }, { cache: 600_000 })).length,
  authorOf: async (id: number) =>
    (await em().find(book, { id }, { cache: 600_000, populate: ["author"] }))[0]?.author.name,
  async rename(id: number, name: string): Promise<void> {
    const manager = em();
    (await manager.findOneOrFail(author, { id })).name = name;
    await manager.flush();
  },
  /** In a transaction, or in one within it, that commits with `release`. */
  async beginRename(id: number, name: string, isNested: boolean): Promise<void> {
    const written = Promise.withResolvers<void>();
    const commit = Promise.withResolvers<void>();
    release = commit.resolve;
    type Manager = ReturnType<typeof em>;
    const write = async (manager: Manager): Promise<void> => {
      (await manager.findOneOrFail(author, { id })).name = name;
      await manager.flush();
    };
    running = em().transactional(async (manager) => {
      await (isNested ? manager.transactional((inner) => write(inner)) : write(manager));
      written.resolve();
      await commit.promise;
    });
    await written.promise;
  },
  /**
   * Begins queries that store what they have read with `release`; resolves once they have read, or with `false` if the
   * cache answered them.
   */
  async beginFind(id: number, times: number): Promise<boolean> {
    const read = Promise.withResolvers<void>();
    const until = Promise.withResolvers<void>();
    let left = times;
    held = { read: () => (left -= 1) === 0 && read.resolve(), until: until.promise };
    release = until.resolve;
    running = Promise.all(Array.from({ length: times }, () => nameOf(id)));
    const hasRead = await Promise.race([read.promise.then(() => true), running.then(() => false)]);
    held = undefined;
    return hasRead;
  },
  async release(): Promise<unknown> {
    release?.();
    return running;
  },
  queries: () => {
    const count = queries;
    queries = 0;
    return count;
  },
  async close(): Promise<void> {
    await orm.close();
    await cache.close();
  },
};
answerCalls(handlers);
