import type { Clock, Compressor, Format } from "@hotset/core";
import type { SqliteDatabase } from "./driver.ts";

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
   * takes some 16 MB more; as much again, 64 MiB at least, while another connection reads: beyond that no entry is
   * stored. At least 1 MiB. @default 256 MiB
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
