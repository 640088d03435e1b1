import type { BreakerPolicy, Clock, Compressor, Format } from "@hotset/core";
import {
  anything,
  callback,
  checkNames,
  CLOCK,
  having,
  MAX_TIMER_MS,
  option,
  optionsOf,
  readOption,
  readOptions,
  text,
  wholeNumber,
  type Option,
  type OptionTable,
  type OptionValues,
} from "@hotset/core/internal";
import { LONGEST_HEAD_BYTES } from "./kept.ts";
import type { SwapStore } from "./swap-store.ts";

/** Options of {@link fromSwap}. */
export interface FromSwapOptions {
  /** Names the tier in events, stats and errors. */
  readonly label: string;
  /** @default json() */
  readonly format?: Format | undefined;
  /** @default passthrough() */
  readonly compressor?: Compressor | undefined;
  /** Further formats and compressors that older entries may have. @default none */
  readonly alsoReads?: readonly (Format | Compressor)[] | undefined;
  /** The longest record that the store takes. Entries are stored up to 5 KiB less. @default Infinity */
  readonly maxRecordBytes?: number | undefined;
  /** Largest decoded value, like {@link Backend.maxDecodedBytes}. @default 8 MiB */
  readonly maxDecodedBytes?: number | undefined;
  /** Deadline of a step, like {@link Backend.deadlineMs}; a step is two or three calls of the store. @default 1_000 */
  readonly deadlineMs?: number | undefined;
  /** When calls are skipped, like {@link Backend.breaker}. */
  readonly breaker?: BreakerPolicy | undefined;
  /** Entries and leases end by its wall clock, in every process by its own. @default the clock of the system */
  readonly clock?: Clock | undefined;
  /**
   * Keeps a log of changes in records of the store, and reads it: so local copies in other processes follow, and memory in
   * front needs no `localTtl`. Each change costs a further step, and each process one read every `busyMs` while it is
   * used, otherwise every `idleMs`. All processes of a store must agree. @default false
   */
  readonly log?: boolean | SwapLogOptions | undefined;
}

/** How the log of {@link fromSwap} is read. */
export interface SwapLogOptions extends Omit<PollChangesOptions, "clock"> {
  /**
   * Milliseconds until a local copy is compared with its record even if no change was reported: a process that dies
   * between a change and its place in the log reports nothing. Costs one read for each copy that is used. @default 30_000
   */
  readonly recheckMs?: number | undefined;
}

/** Options of {@link pollChanges}. */
export interface PollChangesOptions {
  /** Milliseconds between two questions while the backend is used. @default 20 */
  readonly busyMs?: number | undefined;
  /** Milliseconds between two questions once it was not used for 2 s. @default 1_000 */
  readonly idleMs?: number | undefined;
  /** The bound reported as {@link Coherence.maxStalenessMs}. @default five times `busyMs` */
  readonly maxStalenessMs?: number | undefined;
  /** @default the clock of the system */
  readonly clock?: Clock | undefined;
}

const milliseconds = <Default extends number | undefined>(
  byDefault: Default,
  mostMs = MAX_TIMER_MS,
): Option<number | Default> =>
  option(
    `a number of milliseconds of at least 1${mostMs === Infinity ? ", or Infinity" : ""}`,
    (given) => typeof given === "number" && given >= 1 && given <= mostMs,
    byDefault,
  );

const POLLING = {
  busyMs: milliseconds(20),
  idleMs: milliseconds(1_000),
  maxStalenessMs: milliseconds(undefined),
} satisfies OptionTable;

const POLL_CHANGES = { ...POLLING, clock: CLOCK } satisfies Record<keyof PollChangesOptions, Option>;

const LOG = { ...POLLING, recheckMs: milliseconds(30_000, Infinity) } satisfies Record<keyof SwapLogOptions, Option>;

const BREAKER = {
  failures: wholeNumber(5, 1, Infinity),
  waitMs: milliseconds(1_000),
  longestWaitMs: milliseconds(30_000),
  onReconnect: callback<NonNullable<BreakerPolicy["onReconnect"]>>(),
} satisfies Record<keyof BreakerPolicy, Option>;

const LABEL = text(undefined);

const FROM_SWAP = {
  label: LABEL,
  format: anything as Option<FromSwapOptions["format"]>,
  compressor: anything as Option<FromSwapOptions["compressor"]>,
  alsoReads: anything as Option<FromSwapOptions["alsoReads"]>,
  // A shorter one has no room for any entry.
  maxRecordBytes: wholeNumber(Infinity, LONGEST_HEAD_BYTES + 1, Infinity),
  maxDecodedBytes: wholeNumber(undefined, 1, Infinity),
  deadlineMs: milliseconds(1_000),
  breaker: anything as Option<BreakerPolicy | undefined>,
  clock: CLOCK,
  log: option<boolean | SwapLogOptions>(
    "true, false or an object with busyMs, idleMs, maxStalenessMs or recheckMs",
    (given) => typeof given === "boolean" || (typeof given === "object" && given !== null && !Array.isArray(given)),
    false,
  ),
} satisfies Record<keyof FromSwapOptions, Option>;

const STORE = having<SwapStore<unknown>>(
  "an object with get(), swap(), delete() and close()",
  "get",
  "swap",
  "delete",
  "close",
);

/** How a log is read, with the defaults filled in. */
export interface PollingSettings {
  readonly busyMs: number;
  readonly idleMs: number;
  readonly maxStalenessMs: number | undefined;
  readonly clock?: Clock | undefined;
}

/** {@link FromSwapOptions}, with the defaults filled in. */
export interface FromSwapSettings extends Omit<FromSwapOptions, "log"> {
  readonly deadlineMs: number;
  readonly maxRecordBytes: number;
  readonly log: (PollingSettings & { readonly recheckMs: number }) | undefined;
}

/** @throws {ConfigurationError | InvalidArgumentError} with the option, what was given, and what it accepts. */
export const pollChangesSettings = (options: PollChangesOptions): PollingSettings =>
  optionsOf("pollChanges", options, POLL_CHANGES);

/** @throws {ConfigurationError | InvalidArgumentError} as {@link pollChangesSettings}. */
export function fromSwapSettings<V>(store: SwapStore<V>, options: FromSwapOptions): FromSwapSettings {
  readOption(store, "fromSwap: store", STORE);
  const { label, breaker, log, ...read } = optionsOf("fromSwap", options ?? null, FROM_SWAP);
  return {
    ...read,
    label: readOption(label, "fromSwap: label", LABEL) as string,
    breaker: breaker === undefined ? undefined : inside("breaker", breaker, BREAKER),
    log: log === false ? undefined : inside("log", log === true ? {} : log, LOG),
  };
}

function inside<Table extends OptionTable>(name: string, given: object, table: Table): OptionValues<Table> {
  checkNames(given, table, { place: "fromSwap", inside: name });
  return readOptions(given, table, `fromSwap: ${name}.`);
}
