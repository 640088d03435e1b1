import { InvalidArgumentError, type StandardSchema } from "@hotset/core";
import { checkKey, type KeySpace, type RedisArgument } from "../keys/key-space.ts";
import { checkOptions, checkSchema, checkWholeNumber } from "../module/module.ts";
import {
  CommandBuilder,
  listOf,
  type BuilderSettings,
  type ExpireOptions,
  type Fields,
  type IncrOptions,
  type SetOptions,
  type Writable,
  type WritableIn,
  type DurationText,
} from "./command-builder.ts";
import type { Fallback } from "./fallback.ts";
import { asNumber, type Invocation } from "./invocation.ts";
import { decodeJson, encodeJson, type JsonOptions } from "./json-values.ts";
import { invocationOf, loadedTable, loadTable, rawInvocation } from "./node-redis-commands.ts";
import type { BytesCommands, Commands, Life, OwnCommands } from "./own-commands.ts";
import { CommandRunner, type RunnerSettings } from "./run.ts";
import { scanHash, scanKeys, type ScanHashOptions, type ScanOptions, type Step } from "./scan.ts";
import type { Target } from "./target.ts";

export interface CommandsSettings extends BuilderSettings, RunnerSettings {
  readonly connection: Target;
  readonly fallback?: Fallback | undefined;
}

/** How many keys one command takes where any number may be given. */
const WINDOW = 1_000;

/** The commands of one key space. */
export const commandsOf = (settings: CommandsSettings): Commands =>
  new RunningCommands(settings) as unknown as Commands;

/** The same, with bytes in place of text in replies. */
export const bytesCommandsOf = (settings: CommandsSettings): BytesCommands =>
  new RunningCommands({ ...settings, replies: "flat" }) as unknown as BytesCommands;

/**
 * Own commands are methods. Any other name is looked for at the end of the chain of prototypes, in a proxy, which makes
 * it a method of the object: so the proxy is asked once for each name.
 */
class RunningCommands implements OwnCommands {
  static {
    const otherNames = new Proxy(Object.create(null) as object, {
      get(_target, name, receiver: RunningCommands) {
        if (typeof name !== "string" || NOT_COMMANDS.has(name)) return Reflect.get(Object.prototype, name, receiver);
        const method = (...args: readonly unknown[]): Promise<unknown> => receiver.#runNamed(name, args);
        Object.defineProperty(receiver, name, { value: method });
        return method;
      },
    });
    Object.setPrototypeOf(this.prototype, otherNames);
  }

  readonly #connection: Target;
  readonly #space: KeySpace;
  readonly #make: CommandBuilder;
  readonly #runner: CommandRunner;
  readonly #replies: "text" | "flat";

  constructor(settings: CommandsSettings) {
    this.#replies = settings.replies ?? "text";
    this.#connection = settings.connection;
    this.#space = settings.space;
    this.#make = new CommandBuilder(settings);
    this.#runner = new CommandRunner(settings.connection, settings, settings.fallback);
  }

  get(key: RedisArgument): Promise<string | undefined> {
    return this.#run(() => this.#make.get(key));
  }

  getBytes(key: RedisArgument): Promise<Buffer | undefined> {
    return this.#run(() => this.#make.getBytes(key));
  }

  getNumber(key: RedisArgument): Promise<number | undefined> {
    return this.#run(() => this.#make.getNumber(key));
  }

  getBigInt(key: RedisArgument): Promise<bigint | undefined> {
    return this.#run(() => this.#make.getBigInt(key));
  }

  getMany(keys: readonly RedisArgument[]): Promise<readonly (string | undefined)[]> {
    return this.#readMany<string>(keys, this.#replies);
  }

  set(key: RedisArgument, value: Writable, options?: SetOptions): Promise<"set" | "unchanged"> {
    return this.#run(() => this.#make.set(key, value, options));
  }

  async setIfAbsent(key: RedisArgument, value: Writable, options: Life = {}): Promise<"set" | "exists"> {
    checkOptions("setIfAbsent", options, ["ttl"]);
    const result = await this.set(key, value, { ttl: options.ttl, if: "absent" });
    return result === "set" ? "set" : "exists";
  }

  setIfAbsentAndGet(
    key: RedisArgument,
    value: Writable,
    options?: Life,
  ): Promise<{ readonly value: string; readonly status: "set" | "exists" }> {
    return this.#run(() => this.#make.setIfAbsentAndGet(key, value, options));
  }

  setManyIfAbsent(entries: Iterable<readonly [RedisArgument, Writable]>, options?: Life): Promise<"set" | "exists"> {
    return this.#run(() => this.#make.setManyIfAbsent(entries, options));
  }

  async getJson<T = unknown>(key: RedisArgument, schema?: StandardSchema<T>): Promise<T | undefined> {
    checkSchema("getJson(key, schema): schema", schema);
    const bytes = await this.getBytes(key);
    return bytes === undefined ? undefined : decodeJson("getJson", bytes, schema);
  }

  async getManyJson<T = unknown>(
    keys: readonly RedisArgument[],
    schema?: StandardSchema<T>,
  ): Promise<readonly (T | Error | undefined)[]> {
    checkSchema("getManyJson(keys, schema): schema", schema);
    const found = await this.#readMany<Buffer>(keys, "bytes");
    const read = async (bytes: Buffer | undefined): Promise<T | Error | undefined> =>
      bytes === undefined ? undefined : decodeJson("getManyJson", bytes, schema).catch((error: Error) => error);
    return Promise.all(found.map(read));
  }

  async setJson(
    key: RedisArgument,
    value: unknown,
    options: SetOptions & JsonOptions = {},
  ): Promise<"set" | "unchanged"> {
    checkOptions("setJson", options, ["ttl", "keepTtl", "if", "compressAbove"]);
    const { compressAbove, ...others } = options;
    if (compressAbove !== undefined && compressAbove !== Infinity)
      checkWholeNumber("setJson: compressAbove", compressAbove, { min: 0, max: Number.MAX_SAFE_INTEGER });
    const bytes = await encodeJson(value, compressAbove === undefined ? {} : { compressAbove });
    return this.set(key, bytes, others);
  }

  exists(key: RedisArgument): Promise<boolean> {
    return this.#run(() => this.#make.exists(key));
  }

  async delete(...keys: readonly (RedisArgument | readonly RedisArgument[])[]): Promise<number> {
    // Not `flat`, which drops holes.
    const all = keys.flatMap((key) => (Array.isArray(key) ? Array.from<RedisArgument>(key) : [key as RedisArgument]));
    const counts = await this.#inParts("delete", all, (part) => ({
      args: ["UNLINK", ...part],
      keys: part,
      isReadOnly: false,
      replies: "text",
      decode: asNumber,
    }));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  expire(key: RedisArgument, ttl: DurationText, options?: ExpireOptions): Promise<boolean> {
    return this.#run(() => this.#make.expire(key, ttl, options));
  }

  expireAt(key: RedisArgument, at: Date, options?: ExpireOptions): Promise<boolean> {
    return this.#run(() => this.#make.expireAt(key, at, options));
  }

  persist(key: RedisArgument): Promise<boolean> {
    return this.#run(() => this.#make.persist(key));
  }

  ttlMs(key: RedisArgument): Promise<number | "none" | "missing"> {
    return this.#run(() => this.#make.ttlMs(key));
  }

  incr<By extends number | bigint>(key: RedisArgument, options?: IncrOptions<By>): Promise<By> {
    return this.#run(
      () => this.#make.incr(key, options as IncrOptions<number>) as Invocation<unknown> as Invocation<By>,
    );
  }

  incrMany<By extends number | bigint>(
    keys: readonly RedisArgument[],
    by?: By,
    options?: Life,
  ): Promise<readonly By[]> {
    return this.#run(
      () => this.#make.incrMany(keys, by as number, options) as Invocation<unknown> as Invocation<readonly By[]>,
    );
  }

  hset<T extends WritableIn<T>>(key: RedisArgument, fields: Fields<T>, options?: Life): Promise<number> {
    return this.#run(() => this.#make.hset(key, fields, options));
  }

  hsetIfAbsent(key: RedisArgument, field: RedisArgument, value: Writable, options?: Life): Promise<"set" | "exists"> {
    return this.#run(() => this.#make.hsetIfAbsent(key, field, value, options));
  }

  hget(key: RedisArgument, field: RedisArgument): Promise<string | undefined> {
    return this.#run(() => this.#make.hget(key, field));
  }

  hgetAll(key: RedisArgument): Promise<ReadonlyMap<string, string>> {
    return this.#run(() => this.#make.hgetAll(key));
  }

  hincrMany<By extends number | bigint>(
    key: RedisArgument,
    fields: Readonly<Record<string, By>> | ReadonlyMap<string, By>,
    options?: Life,
  ): Promise<ReadonlyMap<string, By>> {
    return this.#run(() => this.#make.hincrMany(key, fields, options));
  }

  scan(options: ScanOptions = {}): AsyncGenerator<string, void, undefined> {
    const step: Step = (caller, page) => this.#runner.runOver(caller, page);
    return scanKeys(this.#connection, this.#space, options, step, this.#replies);
  }

  hscan(key: RedisArgument, options: ScanHashOptions = {}): AsyncGenerator<readonly [string, string], void, undefined> {
    const step: Step = (_, page) => this.#runner.run(page);
    return scanHash({ connection: this.#connection, space: this.#space, key, replies: this.#replies }, options, step);
  }

  async send(args: readonly RedisArgument[], options: { readonly key?: RedisArgument } = {}): Promise<unknown> {
    if (this.#space.isTenant)
      throw new InvalidArgumentError(
        "send: a tenant has no send(args), which could leave its keys; use a command by name",
      );
    checkOptions("send(args, options)", options, ["key"]);
    if (options.key !== undefined) checkKey("send", options.key);
    const { isShared } = this.#connection;
    const invocation = rawInvocation(loadedTable() ?? (await loadTable()), args, options.key, {
      isShared,
      replies: this.#replies,
    });
    return this.#runner.run(invocation);
  }

  /** An argument that is wrong rejects, too. */
  #run<T>(make: () => Invocation<T>): Promise<T> {
    let invocation: Invocation<T>;
    try {
      invocation = make();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#runner.run(invocation);
  }

  async #runNamed(name: string, args: readonly unknown[]): Promise<unknown> {
    const place = { space: this.#space, replies: this.#replies, protocol: this.#connection.protocol };
    return this.#runner.run(invocationOf(loadedTable() ?? (await loadTable()), name, args, place));
  }

  async #readMany<T extends string | Buffer>(
    keys: readonly RedisArgument[],
    replies: Invocation<unknown>["replies"],
  ): Promise<readonly (T | undefined)[]> {
    const parts = await this.#inParts("getMany", keys, (part) => ({
      args: ["MGET", ...part],
      keys: part,
      isReadOnly: true,
      replies,
      decode: (reply) => (reply as readonly (T | null)[]).map((value) => value ?? undefined),
    }));
    return parts.flat();
  }

  /** In parts of bounded size; in a cluster key by key, since keys of one slot are rare. */
  async #inParts<T>(
    operation: string,
    keys: readonly RedisArgument[],
    describe: (part: readonly RedisArgument[]) => Invocation<T>,
  ): Promise<readonly T[]> {
    const size = this.#connection.isCluster ? 1 : WINDOW;
    const inside = listOf(operation, keys).map((key) => this.#space.inside(checkKey(operation, key)));
    const parts = Array.from({ length: Math.ceil(inside.length / size) }, (_, i) =>
      inside.slice(i * size, (i + 1) * size),
    );
    return Promise.all(parts.map((part) => this.#runner.run(describe(part))));
  }
}

/** Asked for by `await`, by `JSON.stringify` and by printers. */
const NOT_COMMANDS: ReadonlySet<string> = new Set([
  "then",
  "catch",
  "finally",
  "toJSON",
  "inspect",
  "constructor",
  "valueOf",
  "toString",
  "toLocaleString",
  "hasOwnProperty",
  "isPrototypeOf",
  "propertyIsEnumerable",
  "asymmetricMatch",
  "nodeType",
  "tagName",
]);
