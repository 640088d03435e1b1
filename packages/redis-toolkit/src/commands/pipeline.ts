import { InvalidArgumentError } from "@hotset/core";
import { checkFunction } from "../module/module.ts";
import type { CommandBuilder } from "./command-builder.ts";
import { areCommands, type Invocation } from "./invocation.ts";
import { invocationOf, loadTable, type CallPlace, type CommandTable } from "./node-redis-commands.ts";
import type { OwnBytesCommands, TextName } from "./own-commands.ts";
import type { CommandRunner } from "./run.ts";
import type { BytesMapping, NodeRedisCommands, TextMapping } from "./typed-commands.ts";

type Recorded<F> = F extends (...args: infer A) => Promise<infer R> ? (...args: A) => Invocation<R> : never;

type Named<Mapping extends TextMapping | BytesMapping> = {
  readonly [Name in Exclude<keyof NodeRedisCommands<Mapping>, keyof CommandBuilder>]: Recorded<
    NodeRedisCommands<Mapping>[Name]
  >;
};

/** The same commands, which are only described: those of one key or slot of this package, and all of node-redis. */
export type Recorder = Omit<CommandBuilder, "inBytes"> &
  Named<TextMapping> & {
    /** The same commands, with bytes in place of text in replies. */
    readonly bytes: BytesRecorder;
  };

export type BytesRecorder = Omit<CommandBuilder, "inBytes" | TextName> & {
  readonly [Name in TextName & keyof CommandBuilder]: Recorded<OwnBytesCommands[Name]>;
} & Named<BytesMapping>;

/** The outcome of one command of a pipeline. */
export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: Error };

/** The result of each recorded command, in their order. */
export type ResultsOf<Recorded extends readonly Invocation<unknown>[]> = {
  readonly [I in keyof Recorded]: Recorded[I] extends Invocation<infer T> ? Result<T> : never;
};

/**
 * Describes commands, then sends all of them together; those of one node are carried out in their order. Each has its
 * own result: one that fails stops no other.
 *
 * @throws {InvalidArgumentError} for arguments that cannot be sent; then nothing was sent.
 */
export async function runPipeline<Described extends readonly [] | readonly Invocation<unknown>[]>(
  describe: (recorder: Recorder) => Described,
  builder: CommandBuilder,
  place: CallPlace,
  runner: CommandRunner,
): Promise<ResultsOf<Described>> {
  checkFunction("pipeline(describe): describe", describe);
  const described = describe(await recorderOf(builder, place));
  if (!areCommands(described))
    throw new InvalidArgumentError(
      "pipeline(describe): describe must return a list of commands, such as p => [p.get(key)]",
    );
  const results = runner.runInOrder<unknown>(described).map((result) =>
    result.then(
      (value): Result<unknown> => ({ ok: true, value }),
      (error: Error): Result<unknown> => ({ ok: false, error }),
    ),
  );
  return (await Promise.all(results)) as unknown as ResultsOf<Described>;
}

/** Describes commands, and sends nothing. */
export async function recorderOf(builder: CommandBuilder, place: CallPlace): Promise<Recorder> {
  const table = await loadTable();
  const bytes = recorder(table, builder.inBytes(), { ...place, replies: "flat" });
  return recorder(table, builder, place, { bytes }) as Recorder;
}

const recorder = (table: CommandTable, builder: CommandBuilder, place: CallPlace, more: object = {}): unknown =>
  new Proxy(builder, {
    get(target, name) {
      if (typeof name !== "string") return undefined;
      if (Object.hasOwn(more, name)) return more[name as keyof object];
      const own = target[name as keyof CommandBuilder] as ((...args: readonly unknown[]) => unknown) | undefined;
      if (own !== undefined) return own.bind(target);
      if (!Object.hasOwn(table.commands, name)) return undefined;
      return (...args: readonly unknown[]) => invocationOf(table, name, args, place);
    },
  });
