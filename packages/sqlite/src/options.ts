import { fileURLToPath } from "node:url";
import {
  ConfigurationError,
  json,
  passthrough,
  systemClock,
  type Clock,
  type Compressor,
  type Format,
} from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import { openWithNode, type SqliteDatabase } from "./driver.ts";

/** Options of {@link sqlite}. */
export interface SqliteOptions {
  /** Encodes values. @default json() */
  readonly format?: Format | undefined;
  /** Compresses values. @default passthrough() */
  readonly compressor?: Compressor | undefined;
  /** Formats and compressors that older entries may have. @default none */
  readonly alsoReads?: readonly (Format | Compressor)[] | undefined;
  /**
   * Bytes that the file may have. Above them the entries that were written longest ago are deleted, whenever others are
   * written. Tag versions have a quarter of it at most, those that were used last. The log of SQLite next to the file
   * takes some 16 MB more, or as much as is written while another connection reads. At least 1 MiB. @default 256 MiB
   */
  readonly maxBytes?: number | undefined;
  /**
   * Handling of a file that is damaged, or that a newer version of this package has written. `"refuse"`: calls
   * reject with an error that says so. `"moveAside"`: it is renamed to `<file>.damaged-<time>`, and a new one is made.
   *
   * @default 'refuse'
   */
  readonly unusableFile?: "refuse" | "moveAside" | undefined;
  /**
   * Whether each write is on the disk before it is acknowledged. Else a crash of the machine, not one of a process, may
   * undo the last writes and removals. @default false
   */
  readonly isDurable?: boolean | undefined;
  /** Names the tier in events, stats and errors. @default 'sqlite' */
  readonly label?: string | undefined;
  /** Opens the file with another driver: `(file) => new Database(file)` of better-sqlite3. @default node:sqlite */
  readonly open?: ((file: string) => SqliteDatabase) | undefined;
  /** The clock by which entries and leases end: one for all processes. For tests. @default the clock of the system */
  readonly clock?: Clock | undefined;
}

export interface SqlitePlan {
  readonly file: string;
  readonly format: Format;
  readonly compressor: Compressor;
  readonly alsoReads: readonly (Format | Compressor)[];
  readonly maxBytes: number;
  readonly movesAside: boolean;
  readonly isDurable: boolean;
  readonly label: string;
  readonly open: (file: string) => SqliteDatabase;
  readonly clock: Clock;
  /** The wall clock, which all processes of the machine share. */
  readonly nowMs: () => number;
}

/** @throws {ConfigurationError} for an option out of range. */
export function planOf(given: string | URL, options: SqliteOptions): SqlitePlan {
  checkNames(options, NAMES, { place: "sqlite" });
  const { maxBytes = DEFAULT_MAX_BYTES, unusableFile = "refuse", clock = systemClock } = options;
  const file = given instanceof URL ? fileURLToPath(given) : given;
  if (typeof file !== "string" || file === "" || file === ":memory:")
    throw new ConfigurationError(
      `sqlite: file must be the path of a file, got ${JSON.stringify(file)}; for memory alone add memory()`,
    );
  if (typeof maxBytes !== "number" || !(maxBytes >= LEAST_MAX_BYTES))
    throw new ConfigurationError(`sqlite: maxBytes must be at least ${LEAST_MAX_BYTES}, got ${String(maxBytes)}`);
  if (unusableFile !== "refuse" && unusableFile !== "moveAside")
    throw new ConfigurationError(
      `sqlite: unusableFile must be "refuse" or "moveAside", got ${JSON.stringify(unusableFile)}`,
    );
  return {
    file,
    format: options.format ?? json(),
    compressor: options.compressor ?? passthrough(),
    alsoReads: options.alsoReads ?? [],
    maxBytes,
    movesAside: unusableFile === "moveAside",
    isDurable: options.isDurable ?? false,
    label: options.label ?? "sqlite",
    open: options.open ?? openWithNode,
    clock,
    nowMs: () => clock.epochMs?.() ?? Date.now(),
  };
}

const NAMES: readonly string[] = [
  "format",
  "compressor",
  "alsoReads",
  "maxBytes",
  "unusableFile",
  "isDurable",
  "label",
  "open",
  "clock",
] satisfies (keyof SqliteOptions)[];
const DEFAULT_MAX_BYTES = 256 * 2 ** 20;
const LEAST_MAX_BYTES = 2 ** 20;
