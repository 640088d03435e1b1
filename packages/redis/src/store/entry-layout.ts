import type { Leases, StoredEntry } from "@hotset/core";
import type { Args, Further } from "../connection/command-queue.ts";
import type { EntryScripts } from "../lua/all-scripts.ts";
import { Buffer } from "../primitives/buffer.ts";
import type { StagedEntry } from "./staged-entry.ts";

/** A read of a key, or of several: commands that are sent together, and how their replies are read. */
export interface Read<T, K = string> {
  readonly commands: (entryKey: K) => readonly Args[];
  /** The same as they go over the wire: for many reads together. @default each word is rendered */
  readonly text?: (entryKey: K) => string;
  /** How many there are. */
  readonly count: number;
  /** Whether the time on the server is needed to read the replies from `at` on. @default it is not */
  readonly needsTime?: (replies: readonly unknown[], at: number) => boolean;
  /** @param nowMs epoch milliseconds: where the time is needed that of the server, at the latest. */
  readonly decode: (replies: readonly unknown[], at: number, nowMs: () => number) => T;
}

/** One plain command over an entry, or several one after another. Without the key, which is their second word. */
export interface Question<T> {
  readonly command: readonly [name: string, ...more: string[]];
  /** May ask for another command over the same entry. */
  readonly interpret: (reply: unknown) => T | Further;
  /** Asks for one where the key is of another type. @default that is an error */
  readonly onWrongType?: () => Further | undefined;
}

/** An entry that cannot be read, or in its last millisecond. */
export interface Unreadable {
  readonly version: string;
  /** Whether the entry is removed with the grant. */
  readonly isOver: boolean;
}

export type StoredLife = Parameters<Leases["touch"]>[2];

/** In place of the value, which is not sent. */
export const NOTHING: Uint8Array = new Uint8Array(0);

/** How a layout writes entries, and reads them: all that its backend does not share with the others. */
export interface EntryLayout {
  readonly scripts: EntryScripts;
  /** Whether entries have versions. Without them nothing is compared, and each change ends the lease. */
  readonly hasVersions: boolean;
  /** Whether instants are by the clock of the server, which is asked for the time. */
  readonly isTimed: boolean;
  readonly read: Read<StoredEntry | undefined>;
  /** Reads all of an entry but its data, or `undefined`. Absent in layouts without versions. */
  readonly head?: Read<StoredEntry | undefined>;
  /** Reads many keys of one slot by one command. Absent where none does that. */
  readonly readMany?: Read<readonly (StoredEntry | undefined)[], readonly string[]>;
  /**
   * Changes the key of an entry that is to be removed, so that Redis pushes it, even where there is no entry. A reader
   * then finds none, or the former one. Its reply says whether there was one. Redis does not count it as a read, and
   * remembers no key.
   */
  look(entryKey: string): Args;
  /** Whether there was one, by that reply. `undefined` where it was refused, for want of memory say. */
  was(reply: unknown): boolean | undefined;
  /**
   * The last arguments of a script that stores an entry: its lifetime in ms, `''` for none, and what is written. The
   * third is the value.
   *
   * @param nowMs epoch milliseconds: on the server, at the earliest, where instants are by its clock.
   * @returns `undefined` for an entry whose lifetime has ended.
   * @throws {InvalidArgumentError}
   */
  encode(entry: StoredEntry, version: string, nowMs: number | undefined): Args | undefined;
  /** Encodes like {@link encode}, for a script that gives an entry another life and meta. @param nowMs of this process. */
  encodeLife(life: StoredLife, version: string, nowMs: number): Args | undefined;
  /**
   * A plain command that stores an entry, without its key. `undefined` where it takes a script. Absent in layouts where
   * it always does.
   *
   * @param args as {@link encode} made them. @param over stores in the place of this value alone.
   */
  readonly set?: (args: Args, over?: Buffer) => Args | undefined;
  /** Asks for the version of an entry. One command where there is {@link set}. */
  version(): Question<string>;
  /** Reads an entry as the script of a lease replies it. */
  changed(first: unknown, second: unknown, nowMs: () => number): StoredEntry | Unreadable;
  /** How a large value reaches its script. `undefined` for arguments without a value, or with a small one. */
  stage(args: Args, key: () => string): StagedEntry | undefined;
}

/** The first byte of our strings in keys of entries. */
export const MAGIC = 0xc1;
const PLACEHOLDER = 0;

/** The value of the key of a missing entry that the holder of `token` loads. */
export const placeholder = (token: string): Buffer =>
  Buffer.concat([Buffer.of(MAGIC, PLACEHOLDER), Buffer.from(token)]);

/** Whether a missing entry is being loaded. */
export const isPlaceholder = (value: Buffer): boolean => value[0] === MAGIC && value[1] === PLACEHOLDER;

/** The value of an entry that is being removed. */
export const REMOVED: Buffer = Buffer.of(MAGIC, PLACEHOLDER);

/** How many bytes of a string {@link isPlaceholder} needs. */
export const MARK_BYTES = 2;
