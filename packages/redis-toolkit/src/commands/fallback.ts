import { InvalidArgumentError } from "@hotset/core";
import { hashSlot } from "../client/open-connection.ts";
import type { KeySpace, RedisArgument } from "../keys/key-space.ts";
import { asNumber, isOne, operationOf, type Invocation } from "./invocation.ts";

/** Options of `tenant`. */
export interface FallbackOptions {
  /**
   * For keys that were written before there were tenants: a key that the tenant does not have is looked for outside it,
   * among those of the view that it is made of. As soon as the tenant has a key, the one outside is not seen.
   *
   * - `read`: reads look outside. Writes go to the tenant alone; one that takes what it reads (`lPop`) is refused
   * - `migrate`: each command first moves its keys to the tenant, with the life that is left
   *
   * Deleting removes both, and a key that is there outside is not absent for `setIfAbsent`. Modules and `scan` know the
   * keys of the tenant alone.
   */
  readonly fallback?: "read" | "migrate" | undefined;
}

/** The keys of a tenant, and where it looks for what it does not have: in the view that it is made of, no further. */
export interface Fallback {
  readonly how: NonNullable<FallbackOptions["fallback"]>;
  readonly inside: KeySpace;
  readonly outside: KeySpace;
}

type Run = <T>(invocation: Invocation<T>) => Promise<T>;

/** Commands of a tenant that falls back. */
export class FallbackRunner {
  readonly #fallback: Fallback;
  readonly #isCluster: boolean;
  readonly #run: Run;

  /** @param run sends a command as it is. */
  constructor(fallback: Fallback, isCluster: boolean, run: Run) {
    this.#fallback = fallback;
    this.#isCluster = isCluster;
    this.#run = run;
  }

  get moves(): boolean {
    return this.#fallback.how === "migrate";
  }

  async run<T>(invocation: Invocation<T>): Promise<T> {
    const { keys, isReadOnly } = invocation;
    if (keys.length === 0) return this.#run(invocation);
    if (REMOVALS.has(operationOf(invocation))) return this.#remove(invocation);
    if (this.moves) {
      await this.move(keys);
      return this.#run(invocation);
    }
    if (TAKES.has(operationOf(invocation))) throw refused(invocation);
    return isReadOnly ? this.#read(invocation) : this.#write(invocation);
  }

  /** Moves what these keys have outside. */
  async move(keys: readonly RedisArgument[]): Promise<void> {
    await Promise.all([...new Set(keys)].map((key) => this.#move(key)));
  }

  /**
   * Before commands that are carried out as a whole.
   *
   * @throws {InvalidArgumentError} for one that would have to look outside, and is not moved.
   */
  async prepare(invocations: readonly Invocation<unknown>[]): Promise<void> {
    if (this.moves) return this.move(invocations.flatMap(({ keys }) => keys));
    const wrong = invocations.find(
      (one) =>
        one.keys.length > 0 && (one.isReadOnly || replyIfThere(one) !== undefined || TAKES.has(operationOf(one))),
    );
    if (wrong !== undefined) throw refused(wrong);
  }

  async #read<T>(invocation: Invocation<T>): Promise<T> {
    const { keys } = invocation;
    const counted = this.#count(keys);
    const found = this.#run(invocation);
    const [areAllInside] = await Promise.all([counted, found.catch(() => undefined)]);
    if (areAllInside) return found;
    const areInside = await Promise.all(keys.map((key) => this.#exists(key)));
    return this.#run(this.#outer(invocation, new Set(keys.filter((_, i) => !areInside[i]))));
  }

  async #write<T>(invocation: Invocation<T>): Promise<T> {
    const reply = replyIfThere(invocation);
    if (reply === undefined) return this.#run(invocation);
    const hidden = await Promise.all(invocation.keys.map((key) => this.#outsideAlone(key)));
    const there = hidden.find((outer) => outer !== undefined);
    return there === undefined ? this.#run(invocation) : invocation.decode(await reply(there, this.#run));
  }

  /** The name of a key outside of the tenant, if the key exists there and not inside. */
  async #outsideAlone(key: RedisArgument): Promise<RedisArgument | undefined> {
    const outer = this.#nameOutside(key);
    const [isInside, isOutside] = await Promise.all([this.#exists(key), this.#exists(outer)]);
    return isOutside && !isInside ? outer : undefined;
  }

  async #remove<T>(invocation: Invocation<T>): Promise<T> {
    const remove = (key: RedisArgument): Promise<boolean> => this.#run(plain(["UNLINK", key], key, isOne));
    const removed = await Promise.all(
      invocation.keys.map((key) => Promise.all([remove(key), remove(this.#nameOutside(key))])),
    );
    return invocation.decode(removed.filter((both) => both.includes(true)).length);
  }

  /** Any type of value, with the life that is left. Keys of two nodes are not moved in one step. */
  async #move(inner: RedisArgument): Promise<void> {
    const outer = this.#nameOutside(inner);
    if (!(await this.#exists(outer))) return;
    if (!this.#isCluster || hashSlot(outer) === hashSlot(inner))
      return this.#unless("no such key", { ...plain(["RENAMENX", outer, inner], outer), keys: [outer, inner] });
    const reads = { isReadOnly: true, replies: "bytes" } as const;
    const [bytes, leftMs, isInside] = await Promise.all([
      this.#run({ ...plain<Buffer | null>(["DUMP", outer], outer), ...reads }),
      this.#run({ ...plain(["PTTL", outer], outer, asNumber), ...reads }),
      this.#exists(inner),
    ]);
    // With 0 it ends within this millisecond, and RESTORE would take that for no end.
    if (isInside || bytes === null || leftMs === -2 || leftMs === 0) return;
    await this.#unless("BUSYKEY", plain(["RESTORE", inner, String(Math.max(0, leftMs)), bytes], inner));
    await this.#run(plain(["UNLINK", outer], outer));
  }

  /** Another process may have been faster. */
  async #unless(text: string, invocation: Invocation<unknown>): Promise<void> {
    try {
      await this.#run(invocation);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes(text)) throw error;
    }
  }

  #exists(key: RedisArgument): Promise<boolean> {
    return this.#run({ ...plain(["EXISTS", key], key, isOne), isReadOnly: true });
  }

  /** Redis counts a key as often as it is named. */
  #count(keys: readonly RedisArgument[]): Promise<boolean> {
    const areAll = (reply: unknown): boolean => Number(reply) === keys.length;
    return this.#run({ ...plain(["EXISTS", ...keys], keys[0]!, areAll), keys, isReadOnly: true });
  }

  #nameOutside(key: RedisArgument): RedisArgument {
    return this.#fallback.outside.inside(this.#fallback.inside.outside(key));
  }

  /** The same command over the keys outside, in place of `missing`. */
  #outer<T>(invocation: Invocation<T>, missing: ReadonlySet<RedisArgument>): Invocation<T> {
    const args = [...invocation.args];
    let at = 0;
    for (const key of invocation.keys) {
      at = args.indexOf(key, at + 1);
      if (missing.has(key)) args[at] = this.#nameOutside(key);
    }
    const keys = invocation.keys.map((key) => (missing.has(key) ? this.#nameOutside(key) : key));
    return { ...invocation, args, keys };
  }
}

const plain = <T>(
  args: readonly RedisArgument[],
  key: RedisArgument,
  decode: (reply: unknown) => T = (reply) => reply as T,
): Invocation<T> => ({ args, keys: [key], isReadOnly: false, replies: "text", decode });

const REMOVALS: ReadonlySet<string> = new Set(["UNLINK", "DEL"]);

/** Commands that keep or take what they read, and reads whose reply names the stream: they cannot look outside. */
const TAKES: ReadonlySet<string> = new Set([
  ...["GETDEL", "GETEX", "GETSET", "LPOP", "RPOP", "LMPOP", "LMOVE", "RPOPLPUSH", "BLPOP", "BRPOP", "BLMPOP", "BLMOVE"],
  ...["BRPOPLPUSH", "SPOP", "SMOVE", "ZPOPMIN", "ZPOPMAX", "ZMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "RENAME"],
  ...["RENAMENX", "COPY", "SORT", "XREAD", "XREADGROUP", "XCLAIM", "XAUTOCLAIM", "EVAL", "FCALL", "EVALSHA"],
  ...["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE", "ZINTERSTORE", "ZUNIONSTORE", "ZDIFFSTORE", "ZRANGESTORE"],
  ...["GEOSEARCHSTORE", "GEORADIUS", "GEORADIUSBYMEMBER", "BITOP", "PFMERGE"],
]);

/** The reply of a command that sets only what is absent, where it is there outside. */
function replyIfThere({
  args,
  script,
  operation = String(args[0]).toUpperCase(),
}: Invocation<unknown>): ((outer: RedisArgument, run: Run) => Promise<unknown>) | undefined {
  if (operation === "SETNX" || operation === "MSETNX") return () => Promise.resolve(0);
  if (operation !== "SET") return undefined;
  if (script !== undefined) return async (outer, run) => [0, await run(plain(["GET", outer], outer))];
  return args.slice(3).includes("NX") ? () => Promise.resolve(null) : undefined;
}

const refused = (invocation: Invocation<unknown>): InvalidArgumentError =>
  new InvalidArgumentError(
    `${operationOf(invocation)} of a tenant with fallback: "read" cannot look outside it here; use fallback: "migrate", or no transaction`,
  );
