import { hashSlot, type Caller, type RedisConnection } from "@hotset/redis/connection";
import { CommandError } from "../errors/command-error.ts";
import { replyError } from "../errors/reply-error.ts";
import type { RedisArgument } from "../keys/key-space.ts";
import { decodeReply, operationOf, type Invocation, type Runner } from "./invocation.ts";
import { TYPE_MAPPINGS } from "./node-redis-commands.ts";

/** Runs commands over one connection; `isEnabled` is asked at each. */
export class ConnectionRunner implements Runner {
  readonly #connection: RedisConnection;
  readonly #isEnabled: boolean;

  constructor(connection: RedisConnection, isEnabled: boolean) {
    this.#connection = connection;
    this.#isEnabled = isEnabled;
  }

  /** @throws {CommandError} for an error reply, and for keys of several slots of a cluster, which are not sent. */
  async run<T>(invocation: Invocation<T>): Promise<T> {
    const { spread } = invocation;
    if (spread === undefined || !this.#connection.isCluster) return this.runOver(this.#connection, invocation);
    const replies = await this.#connection.each((primary) => this.runOver(primary, invocation));
    return together(spread, replies);
  }

  async runOver<T>(caller: Caller, invocation: Invocation<T>): Promise<T> {
    const operation = operationOf(invocation);
    if (!this.#isEnabled)
      throw new CommandError(`${operation} was not sent: Redis is disabled by ENABLE_REDIS, or by enabled: false`, {
        code: "REDIS_DISABLED",
        operation,
      });
    if (this.#connection.isCluster) expectOneSlot(operation, invocation.keys);
    return decodeReply(invocation, await this.#send(caller, operation, invocation));
  }

  async #send<T>(caller: Caller, operation: string, invocation: Invocation<T>): Promise<unknown> {
    const { args, keys, isReadOnly, replies, script } = invocation;
    const options = { key: keys[0], isReadOnly, typeMapping: TYPE_MAPPINGS[replies] };
    try {
      return await caller.call(args, options);
    } catch (error) {
      if (script === undefined || !(error instanceof Error) || !error.message.startsWith("NOSCRIPT"))
        throw replyError(operation, error);
    }
    // The server carried out nothing, so this repeats nothing.
    try {
      return await caller.call(["EVAL", script, ...args.slice(2)], options);
    } catch (error) {
      throw replyError(operation, error);
    }
  }
}

/** Before anything is sent: Redis would refuse it too, after a trip, and a pipeline would be half done. */
export function expectOneSlot(operation: string, keys: readonly RedisArgument[]): void {
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
