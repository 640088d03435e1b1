import { CheckedOptions } from "../client/calls.ts";
import type { Caller } from "../client/contract.ts";
import { hashSlot } from "../client/open-connection.ts";
import { CommandError } from "../errors/command-error.ts";
import type { RedisArgument } from "../keys/key-space.ts";
import { FallbackRunner, type Fallback } from "./fallback.ts";
import { decodeReply, errorOf, operationOf, type Invocation } from "./invocation.ts";
import { TYPE_MAPPINGS } from "./node-redis-commands.ts";
import { commandEnded, commandStart } from "./observed.ts";
import type { Target } from "./target.ts";

export interface RunnerSettings {
  readonly isEnabled: boolean;
  readonly clientName: string;
}

/** Runs commands over one target. */
export class CommandRunner {
  readonly #target: Target;
  readonly #settings: RunnerSettings;
  readonly #fallback: FallbackRunner | undefined;

  constructor(target: Target, settings: RunnerSettings, fallback?: Fallback) {
    this.#target = target;
    this.#settings = settings;
    this.#fallback = fallback && new FallbackRunner(fallback, target.isCluster, (one) => this.#runHere(one));
  }

  /** @throws {CommandError} for an error reply, and for keys of several slots of a cluster, which are not sent. */
  run<T>(invocation: Invocation<T>): Promise<T> {
    const sent = this.#sent(invocation);
    return this.#fallback === undefined ? this.#runHere(sent) : this.#fallback.run(sent);
  }

  #sent<T>(invocation: Invocation<T>): Invocation<T> {
    return this.#target.hasExactNumbers ? invocation : (invocation.inText ?? invocation);
  }

  /** Before commands that are sent as a whole, to keys of a tenant that may be outside it. */
  async prepare(keys: readonly RedisArgument[], invocations: readonly Invocation<unknown>[] = []): Promise<void> {
    if (this.#fallback?.moves === true) await this.#fallback.move(keys);
    await this.#fallback?.prepare(invocations);
  }

  #runHere<T>(invocation: Invocation<T>): Promise<T> {
    const { spread } = invocation;
    if (spread === undefined || !this.#target.isCluster) return this.runOver(this.#target, invocation);
    return this.#target
      .each((primary) => this.runOver(primary, invocation))
      .then((replies) => together(spread, replies));
  }

  /**
   * Runs commands that are sent together. A server carries them out in their order: the first use of a script goes by
   * its text, since one that is not known by its hash would be sent again, behind the others.
   */
  runInOrder<T>(described: readonly Invocation<T>[]): readonly Promise<T>[] {
    const invocations = described.map((one) => this.#sent(one));
    const fallback = this.#fallback;
    if (fallback?.moves !== true) return this.#inOrder(invocations, (one) => this.run(one));
    const begun = fallback.prepare(invocations).then(() => this.#inOrder(invocations, (one) => this.#runHere(one)));
    return invocations.map((_, i) => begun.then((results) => results[i]!));
  }

  #inOrder<T>(
    invocations: readonly Invocation<T>[],
    run: (invocation: Invocation<T>) => Promise<T>,
  ): readonly Promise<T>[] {
    const known = new Set<string>();
    return invocations.map((invocation) => {
      const { script, args, keys } = invocation;
      if (script === undefined || invocations.length === 1) return run(invocation);
      // Scripts are known to one node, and a slot is on one.
      const id = this.#target.isCluster ? `${hashSlot(keys[0] ?? "")} ${script}` : script;
      if (known.has(id)) return run(invocation);
      known.add(id);
      return run({ ...invocation, args: ["EVAL", script, ...args.slice(2)], script: undefined });
    });
  }

  async runOver<T>(caller: Caller, invocation: Invocation<T>): Promise<T> {
    const startedAt = commandStart();
    try {
      this.check(invocation.args[0]!, invocation.keys);
      let reply: unknown;
      try {
        reply = await this.#send(caller, invocation);
      } catch (error) {
        throw errorOf(invocation, error);
      }
      const value = decodeReply(invocation, reply);
      commandEnded(startedAt, String(invocation.args[0]), this.#settings.clientName);
      return value;
    } catch (error) {
      commandEnded(startedAt, String(invocation.args[0]), this.#settings.clientName, error);
      throw error;
    }
  }

  /** @throws {CommandError} where Redis is disabled, and for keys of several slots of a cluster. */
  check(name: RedisArgument, keys: readonly RedisArgument[]): void {
    if (this.#settings.isEnabled && (keys.length < 2 || !this.#target.isCluster)) return;
    const operation = operationOf({ args: [name] });
    if (!this.#settings.isEnabled)
      throw new CommandError(`${operation} was not sent: Redis is disabled by ENABLE_REDIS, or by enabled: false`, {
        code: "REDIS_DISABLED",
        operation,
      });
    expectOneSlot(operation, keys);
  }

  #send<T>(caller: Caller, invocation: Invocation<T>): Promise<unknown> {
    const { args, keys, isReadOnly, isRepeatable, replies, blockMs, deadlineMs, patienceMs } = invocation;
    const { signal, script, operation } = invocation;
    const [key] = keys;
    const typeMapping = TYPE_MAPPINGS[replies];
    if (blockMs !== undefined)
      return this.#target.wait(args, { key, blockMs: Math.min(blockMs, LONGEST_MS), typeMapping });
    const own = { key, isReadOnly, isRepeatable, typeMapping, deadlineMs, patienceMs, script, operation, signal };
    return caller.call(args, new CheckedOptions(own));
  }
}

/** A wait without end ends after this, somewhat less than the longest timer: 20 days. */
const LONGEST_MS = 20 * 86_400_000;

/** Before anything is sent: Redis would refuse it too, after a trip, and a pipeline would be half done. */
function expectOneSlot(operation: string, keys: readonly RedisArgument[]): void {
  const [first, ...others] = keys;
  if (first === undefined || others.length === 0) return;
  const slot = hashSlot(first);
  if (others.some((key) => hashSlot(key) !== slot))
    throw new CommandError(
      `${operation}: the keys lie in different slots of the cluster; give them one hash tag, such as "{user:1}:name"`,
      { code: "CROSS_SLOT", operation },
    );
}

/** One reply of those of all primaries. */
function together<T>(spread: NonNullable<Invocation<T>["spread"]>, replies: readonly T[]): T {
  if (spread === "first") return replies.find((reply) => reply !== undefined) as T;
  if (spread === "sum") return replies.reduce((sum, reply) => sum + Number(reply), 0) as T;
  // A list where the command gives one, such as KEYS; else the same everywhere.
  return (Array.isArray(replies[0]) ? (replies as readonly unknown[]).flat() : replies[0]) as T;
}
