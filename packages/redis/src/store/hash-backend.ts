import type { DeleteStatus, Leases, StoredEntry } from "@hotset/core";
import { readInParts, readTogether, type BatchAnswer } from "./batch-read.ts";
import type { Command, CommandQueue, RawClient } from "../connection/command-queue.ts";
import { EntryBackend, type BackendHold, type BackendSettings, type Removal } from "./entry-backend.ts";
import {
  decodeEntry,
  encodeEntry,
  writeIdOf,
  type EntryFields,
  type HashLayout,
  type WrittenLayout,
} from "./entry-fields.ts";
import { HashLeases } from "./hash-leases.ts";
import { MARK_STALE, MARK_STALE_ALONE, REMOVE, WRITE, WRITE_ALONE } from "../lua/entry-scripts.ts";
import { isWrongType } from "../primitives/faults.ts";
import { stageHash, type StagedEntry } from "./staged-entry.ts";
import { ignore } from "../primitives/ignore.ts";

export interface HashSettings extends BackendSettings {
  readonly layout: HashLayout;
}

/** It removes all that entries consist of. Any other type is a placeholder, or no entry either. */
const REMOVAL: Removal = {
  look: ["HDEL", "d", "s", "m", "w"],
  was: (reply) => {
    if (reply instanceof Error) return isWrongType(reply) ? "placeholder" : "unknown";
    return reply === 0 ? "nothing" : "entry";
  },
  script: REMOVE,
};

/** Entries in Redis as hashes. A read and a removal are two plain commands in one tick, other changes are scripts. */
export class HashBackend extends EntryBackend {
  override readonly leases: Leases;
  readonly #settings: HashSettings;
  readonly #written: WrittenLayout;

  constructor(hold: BackendHold, settings: HashSettings) {
    super(hold, settings);
    this.#settings = settings;
    this.#written = settings.layout === "full" && settings.keys.isBare ? "shared" : settings.layout;
    this.leases = new HashLeases(this.leaseCommands, { ...settings, written: this.#written });
  }

  override read(key: string): Promise<StoredEntry | undefined> {
    let entryKey: string;
    try {
      entryKey = this.keys.entry(key);
    } catch (error) {
      return Promise.reject(error);
    }
    const { queue } = this.link;
    const command = queue.begin<StoredEntry | undefined>(this.origins.read);
    const { client } = queue;
    if (client === undefined || queue.inFlight >= queue.maxInFlight) {
      this.link.admit(command, (ready) =>
        this.#receive(
          queue,
          command,
          ready.sendCommand(["PTTL", entryKey]),
          ready.sendCommand(["HMGET", entryKey, "d", "s", "m", "w"]),
        ),
      );
    } else {
      // Sent from this frame: it is the hot path. PTTL first: the other way round an entry that expires in between
      // would be read as one without expiry.
      this.#receive(
        queue,
        command,
        client.sendCommand(["PTTL", entryKey]),
        client.sendCommand(["HMGET", entryKey, "d", "s", "m", "w"]),
      );
    }
    return command;
  }

  override async write(key: string, entry: StoredEntry): Promise<void> {
    const { epochMs, writeIds } = this.#settings;
    const args = encodeEntry(entry, this.#written, epochMs(), writeIdOf(entry, writeIds));
    return args === undefined
      ? this.script("remove", REMOVE, key, [], ignore)
      : this.script("write", this.isPlain ? WRITE_ALONE : WRITE, key, args, ignore);
  }

  override remove(key: string): Promise<DeleteStatus> {
    return this.removed(key, REMOVAL);
  }

  override markStale(key: string): Promise<"stale" | "missing"> {
    return this.script("markStale", this.isPlain ? MARK_STALE_ALONE : MARK_STALE, key, [], (count) =>
      count === 1 ? "stale" : "missing",
    );
  }

  /** Settles a read by its two replies. */
  #receive(
    queue: CommandQueue,
    command: Command<StoredEntry | undefined>,
    ttl: Promise<unknown>,
    fields: Promise<unknown>,
  ): void {
    command.sent(2);
    let ttlMs: number | undefined;
    const fail = (error: unknown): void => {
      queue.replied();
      command.fail(this.fault(command.origin, error));
    };
    const decode = (reply: unknown): void =>
      command.answer(() => decodeEntry(reply as EntryFields, ttlMs!, this.#settings.epochMs, this.#settings.layout));
    ttl.then((reply) => {
      queue.replied();
      ttlMs = reply as number;
    }, fail);
    fields.then(
      (reply) => {
        queue.replied();
        if (ttlMs !== undefined) decode(reply);
        // PTTL was redirected inside a cluster, and HMGET has overtaken it.
        else ttl.then(() => decode(reply), ignore);
      },
      (error: unknown) => {
        if (isWrongType(error)) {
          queue.replied();
          command.done(undefined);
        } else {
          fail(error);
        }
      },
    );
  }

  protected override readMany(keys: readonly string[]): Promise<BatchAnswer> {
    if (keys.length === 0) return Promise.resolve([]);
    const { queue } = this.link;
    if (queue.client !== undefined && queue.inFlight + 2 * keys.length <= queue.maxInFlight)
      return this.#readTogether(queue.client, keys);
    return readInParts(keys, this.batchOf(keys), (key) => this.read(key));
  }

  async #readTogether(client: RawClient, keys: readonly string[]): Promise<BatchAnswer> {
    const { epochMs, layout } = this.#settings;
    const entryKeys = keys.map((key) => this.keys.entry(key));
    return readTogether(entryKeys, {
      queue: this.link.queue,
      client,
      origin: this.origins.read,
      decode: (fields, ttlMs) => decodeEntry(fields, ttlMs, epochMs, layout),
      fault: (error) => this.fault(this.origins.read, error),
    });
  }

  protected override stage(args: readonly (string | Buffer)[], key: () => string): StagedEntry | undefined {
    return stageHash(args, key);
  }
}
