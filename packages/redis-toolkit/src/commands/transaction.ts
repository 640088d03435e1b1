import { InvalidArgumentError } from "@hotset/core";
import { needsTcp } from "@hotset/redis/internal";
import type { BurstOptions, ExclusiveConnection, RedisConnection } from "../client/contract.ts";
import { CommandError } from "../errors/command-error.ts";
import { replyError } from "../errors/reply-error.ts";
import { checkKey, type KeySpace, type RedisArgument } from "../keys/key-space.ts";
import { checkFunction, checkOptions } from "../module/module.ts";
import { listOf, type CommandBuilder } from "./command-builder.ts";
import { areCommands, decodeReply, errorOf, operationOf, type Invocation } from "./invocation.ts";
import { TYPE_MAPPINGS, type CallPlace } from "./node-redis-commands.ts";
import { commandEnded, commandStart } from "./observed.ts";
import type { BytesCommands, Commands } from "./own-commands.ts";
import { recorderOf, type Recorder, type Result, type ResultsOf } from "./pipeline.ts";
import type { CommandRunner } from "./run.ts";
import type { Bounds } from "./target.ts";

/**
 * - `committed`: all commands were carried out, one after another, with nothing in between
 * - `conflict`: a watched key was changed meanwhile; nothing was carried out
 * - `discarded`: `discard()` was returned; nothing was sent
 */
export type TransactionResult<Queued extends readonly Invocation<unknown>[]> =
  | { readonly status: "committed"; readonly results: ResultsOf<Queued> }
  | { readonly status: "conflict" }
  | Discard;

/** What `discard()` gives. */
export interface Discard {
  /** Tells it from the results of a transaction that was carried out. */
  readonly status: "discarded";
}

const DISCARD: Discard = Object.freeze({ status: "discarded" });
const isDiscard = (given: unknown): given is Discard => given === DISCARD;

/** The argument of `describe`. */
export interface Transaction {
  /** Carried out immediately, on the connection of the transaction: for reading what is watched. */
  readonly commands: Commands;
  /** The same commands, with bytes in place of text in replies. */
  readonly bytes: BytesCommands;
  /** Describes the commands to return. With `queue.bytes` replies have bytes in place of text. */
  readonly queue: Recorder;
  /** Return it to carry out nothing: the transaction resolves to it. Never throws. */
  discard(): Discard;
}

/** Options of `transaction`. */
export interface TransactionOptions {
  /** The transaction is carried out only if none of these keys was changed since `describe` began. */
  readonly watch?: readonly RedisArgument[] | undefined;
}

/** The parts of a view that a transaction needs. */
export interface TransactionParts {
  readonly connection: RedisConnection;
  readonly bounds: Bounds;
  readonly clientName: string;
  readonly space: KeySpace;
  readonly builder: CommandBuilder;
  readonly place: CallPlace;
  readonly runner: CommandRunner;
  readonly commandsOn: (exclusive: ExclusiveConnection) => Pick<Transaction, "commands" | "bytes">;
  /** Lends a separate connection to `task`; in a cluster that of the node of `key`. */
  readonly borrow: <T>(task: (exclusive: ExclusiveConnection) => Promise<T>, key: RedisArgument) => Promise<T>;
  readonly shared: Pick<Transaction, "commands" | "bytes">;
}

/**
 * `MULTI`, what `describe` returns, and `EXEC`: carried out as a whole, or not at all. Each command has its own result;
 * one that fails, such as on a key of another type, undoes no other.
 *
 * @throws {CommandError} `ABORTED` where Redis took one of the commands for wrong; nothing was carried out.
 */
export async function runTransaction<Queued extends readonly [] | readonly Invocation<unknown>[]>(
  parts: TransactionParts,
  options: TransactionOptions,
  describe: (transaction: Transaction) => Promise<Queued | Discard> | Queued | Discard,
): Promise<TransactionResult<Queued>> {
  const { connection, bounds, clientName, space, runner } = parts;
  checkOptions("transaction(options, describe)", options, ["watch"]);
  checkFunction("transaction(options, describe): describe", describe);
  const { watch = [] } = options ?? {};
  const watched = listOf("transaction: watch", watch).map((key) => space.inside(checkKey("transaction: watch", key)));
  const queue = await recorderOf(parts.builder, parts.place);
  runner.check("MULTI", watched);
  if (connection.isHttp) throw needsTcp("transaction(options, describe)");
  if (watched.length === 0) {
    const queued = checked(await describe({ ...parts.shared, queue, discard }));
    if (isDiscard(queued)) return queued;
    const keys = expectKeys(runner, watched, queued);
    await runner.prepare([], queued);
    return carriedOut<Queued>(queued, clientName, (commands, options) =>
      connection.burst(keys[0], commands, { ...options, ...bounds }),
    );
  }
  // Before it watches: a key that is moved is a key that was changed.
  await runner.prepare(watched);
  return parts.borrow(async (exclusive): Promise<TransactionResult<Queued>> => {
    await exclusive.call(["WATCH", ...watched], bounds).catch((error: unknown) => {
      throw replyError("WATCH", error);
    });
    const queued = checked(await describe({ ...parts.commandsOn(exclusive), queue, discard }));
    if (isDiscard(queued)) return queued;
    expectKeys(runner, watched, queued);
    await runner.prepare([], queued);
    return carriedOut<Queued>(queued, clientName, (commands, options) =>
      exclusive.burst(commands, { ...options, ...bounds }),
    );
  }, watched[0]!);
}

const discard = (): Discard => DISCARD;

function checked<Queued extends readonly Invocation<unknown>[]>(given: Queued | Discard): Queued | Discard {
  if (isDiscard(given) || areCommands(given)) return given;
  throw new InvalidArgumentError(
    "transaction(describe): describe must return a list of commands, such as [queue.incr(key)], or discard()",
  );
}

/** All keys: in a cluster they must be of one slot. */
function expectKeys(
  runner: CommandRunner,
  watched: readonly RedisArgument[],
  queued: readonly Invocation<unknown>[],
): readonly RedisArgument[] {
  const keys = [...watched, ...queued.flatMap((invocation) => invocation.keys)];
  runner.check("MULTI", keys);
  for (const invocation of queued)
    if (invocation.blockMs !== undefined)
      throw new InvalidArgumentError(`${operationOf(invocation)}: nothing waits in a transaction`);
  const named = queued.find(({ needsMaps }) => needsMaps);
  if (named !== undefined && queued.some(({ replies }) => replies === "flat"))
    throw new InvalidArgumentError(
      `transaction: ${operationOf(named)} stands next to commands of queue.bytes; take it from queue.bytes, too`,
    );
  return keys;
}

type Burst = (commands: readonly (readonly RedisArgument[])[], options: BurstOptions) => Promise<readonly unknown[]>;

async function carriedOut<Queued extends readonly Invocation<unknown>[]>(
  queued: Queued,
  client: string,
  burst: Burst,
): Promise<TransactionResult<Queued>> {
  const startedAt = commandStart();
  try {
    const result = await carryOut(queued, burst);
    commandEnded(startedAt, "EXEC", client);
    return result;
  } catch (error) {
    commandEnded(startedAt, "EXEC", client, error);
    throw error;
  }
}

async function carryOut<Queued extends readonly Invocation<unknown>[]>(
  queued: Queued,
  burst: Burst,
): Promise<TransactionResult<Queued>> {
  const results = (replies: readonly Result<unknown>[]): TransactionResult<Queued> => ({
    status: "committed",
    results: replies as unknown as ResultsOf<Queued>,
  });
  if (queued.length === 0) return results([]);
  // A script by its hash could be unknown, which would show only inside EXEC.
  const commands = queued.map(({ args, script }) => (script === undefined ? args : ["EVAL", script, ...args.slice(2)]));
  const kinds = new Set(queued.map((one) => one.replies));
  const areNumbersText = kinds.has("exact");
  const typeMapping = {
    ...TYPE_MAPPINGS[kinds.has("flat") ? "flat" : kinds.has("bytes") || areNumbersText ? "bytes" : "text"],
    ...(areNumbersText && { [WHOLE_NUMBER]: String }),
  };
  const replies = await burst([["MULTI"], ...commands, ["EXEC"]], { typeMapping });
  const executed = replies.at(-1);
  if (executed === null) return { status: "conflict" };
  if (!Array.isArray(executed)) throw aborted(replies, queued);
  return results(queued.map((invocation, i) => resultOf(invocation, executed[i], areNumbersText)));
}

function resultOf(invocation: Invocation<unknown>, reply: unknown, areNumbersText: boolean): Result<unknown> {
  if (reply instanceof Error) return { ok: false, error: errorOf(invocation, reply) as Error };
  const { replies } = invocation;
  const form = { isText: replies === "text", areNumbersText };
  try {
    return { ok: true, value: decodeReply(invocation, replies === "exact" ? reply : inForm(reply, form)) };
  } catch (error) {
    return { ok: false, error: error as Error };
  }
}

/**
 * All replies of a transaction come in one form: where one command asks for bytes, as bytes, and where one counts, with
 * whole numbers as text. Any other text outside a Buffer is a status reply, which is a word.
 */
function inForm(reply: unknown, form: { readonly isText: boolean; readonly areNumbersText: boolean }): unknown {
  if (Buffer.isBuffer(reply)) return form.isText ? reply.toString() : reply;
  if (typeof reply === "string") return form.areNumbersText && /^-?\d+$/.test(reply) ? Number(reply) : reply;
  if (Array.isArray(reply)) return reply.map((one) => inForm(one, form));
  return reply instanceof Map
    ? new Map([...reply].map(([key, value]) => [inForm(key, form), inForm(value, form)]))
    : reply;
}

/** In a type mapping. */
const WHOLE_NUMBER = 58;

/** Nothing was carried out. The first refusal says why. */
function aborted(replies: readonly unknown[], queued: readonly Invocation<unknown>[]): unknown {
  const at = replies.findIndex((reply) => reply instanceof Error);
  const operation = at > 0 && at <= queued.length ? operationOf(queued[at - 1]!) : "EXEC";
  const reason = replyError(operation, replies[at]);
  if (!(reason instanceof CommandError)) return reason;
  return new CommandError(`the transaction was not carried out: ${reason.message}`, {
    code: "ABORTED",
    operation,
    retryable: reason.retryable,
    cause: reason,
  });
}
