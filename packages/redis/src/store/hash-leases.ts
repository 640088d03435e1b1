import type { StoredEntry } from "@hotset/core";
import { Further } from "../connection/command-queue.ts";
import { TOUCH } from "../lua/entry-scripts.ts";
import { HASH_LEASES } from "../lua/lease-scripts.ts";
import {
  decodeEntry,
  encodeEntry,
  NO_VERSION,
  versionIn,
  versionOf,
  writeIdOf,
  type EntryFields,
  type HashLayout,
  type WrittenLayout,
} from "./entry-fields.ts";
import {
  ifStored,
  isOne,
  LIFE_IS_OVER,
  NOTHING,
  ofAnotherType,
  orRejected,
  RedisLeases,
  type LeaseCommands,
  type LeaseSettings,
  type StoredLife,
  type Unreadable,
} from "./leases.ts";
import { isPlaceholder } from "./string-entry.ts";
import { isStaged } from "./staged-entry.ts";

export interface HashLeaseSettings extends LeaseSettings {
  readonly layout: HashLayout;
  /** @default layout */
  readonly written?: WrittenLayout;
  /** Epoch milliseconds. */
  readonly epochMs: () => number;
}

/** Leases of the hash layouts. The plain one has no versions: there `confirm` answers `''`. */
export class HashLeases extends RedisLeases {
  readonly #settings: HashLeaseSettings;
  protected override readonly compares: boolean;

  constructor(commands: LeaseCommands, settings: HashLeaseSettings) {
    super(commands, HASH_LEASES, settings);
    this.#settings = settings;
    this.compares = settings.layout === "full";
  }

  override store(key: string, token: string, seen: string, entry: StoredEntry): Promise<boolean> {
    const { layout, written: as = layout, epochMs } = this.#settings;
    return orRejected(() => {
      const written = encodeEntry(entry, as, epochMs(), writeIdOf(entry, this.writeIds)) ?? LIFE_IS_OVER;
      const args = [token, this.compares ? seen : "?", ...written];
      if (isStaged(entry.data.byteLength)) return this.commands.run("store", this.scripts.store, key, args, isOne);
      return this.commands.counted(key, () => this.storeSmall(key, seen, args), ifStored);
    });
  }

  override touch(key: string, seen: string, life: StoredLife): Promise<boolean> {
    const { layout, written: as = layout, epochMs } = this.#settings;
    try {
      const written = encodeEntry({ ...life, data: NOTHING }, as, epochMs(), seen);
      if (written === undefined) return Promise.resolve(false);
      const [lifeMs, , , ...fields] = written;
      const args = [this.compares ? seen : "?", lifeMs, ...fields];
      return this.commands.run("store", TOUCH, key, args, isOne);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  override confirm(key: string): Promise<string> {
    if (!this.compares) return Promise.resolve("");
    let isString = false;
    let isFormer = false;
    return this.commands
      .confirm<string>(
        ["HGET", "m"],
        key,
        (reply) => {
          if (isString) return reply === null || isPlaceholder(reply as Buffer) ? "" : "!";
          if (typeof reply === "number") return reply === 0 ? "" : NO_VERSION;
          if (isFormer) return reply === null ? new Further(["HLEN"]) : versionOf(reply as Buffer);
          const version = versionIn(reply as Buffer | null);
          if (version !== undefined) return version;
          isFormer = true;
          return new Further(["HGET", "w"]);
        },
        () => {
          if (isString) return undefined;
          isString = true;
          return new Further(["GET"]);
        },
      )
      .catch(ofAnotherType);
  }

  protected override changed(ttlMs: unknown, fields: unknown): StoredEntry | Unreadable {
    const read = fields as EntryFields;
    const isOver = ttlMs === 0 || ttlMs === 1;
    return (
      decodeEntry(read, ttlMs as number, this.#settings.epochMs, "full") ?? {
        version: versionIn(read[2]) ?? versionOf(read[3]),
        isOver,
      }
    );
  }
}
