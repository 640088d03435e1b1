import { InvalidArgumentError, type Leases, type StoredEntry } from "@hotset/core";
import {
  decodeEntry,
  encodeEntry,
  NO_VERSION,
  versionOf,
  writeIdOf,
  type EntryFields,
  type HashLayout,
  type WriteIds,
} from "./entry-fields.ts";
import { Further } from "../connection/command-queue.ts";
import { TOUCH } from "../lua/entry-scripts.ts";
import { ACQUIRE, MAX_LEASE_MS, RELEASE, RENEW_LEASE, STORE } from "../lua/lease-scripts.ts";
import type { Script } from "../lua/script.ts";
import { isWrongType } from "../primitives/faults.ts";

export { MAX_LEASE_MS };

export interface LeaseSettings {
  readonly layout: HashLayout;
  readonly leaseMs: number;
  readonly writeIds: WriteIds;
  /** Epoch milliseconds. */
  readonly epochMs: () => number;
}

/** Runs a script over the entry of `key` and its lease. */
export type RunLeaseScript = <T>(
  operation: "acquire" | "renew" | "store" | "release",
  script: Script,
  key: string,
  args: readonly (string | Buffer)[],
  /** May ask for the same script with other arguments. */
  interpret: (reply: unknown) => T | Further,
) => Promise<T>;

/** Sends one plain command over the entry of `key`, on the connection that receives changes. */
export type SendEntryCommand = <T>(
  command: EntryCommand,
  key: string,
  /** May ask for another command over the same entry. */
  interpret: (reply: unknown) => T | Further,
) => Promise<T>;

/** Name and further arguments. */
export type EntryCommand = readonly [name: string, ...more: string[]];

export type StoredLife = Parameters<Leases["touch"]>[2];

/** In place of the value, which is not sent. */
export const NOTHING: Uint8Array = new Uint8Array(0);

type Acquired = Awaited<ReturnType<Leases["acquire"]>>;

/**
 * Leases in Redis: a key beside each entry, which holds the token of the process that loads it, and expires by itself.
 *
 * Versions are those of entries; besides, `''` for no entry, `-` for one that another program wrote, and `!` for a key
 * of another type. The plain layout has no versions: there nothing is compared, and `confirm` answers `''`.
 */
export class RedisLeases implements Leases {
  readonly leaseMs: number;
  readonly #run: RunLeaseScript;
  readonly #send: SendEntryCommand;
  readonly #settings: LeaseSettings;
  readonly #compares: boolean;

  constructor(run: RunLeaseScript, send: SendEntryCommand, settings: LeaseSettings) {
    this.#run = run;
    this.#send = send;
    this.#settings = settings;
    this.leaseMs = settings.leaseMs;
    this.#compares = settings.layout === "full";
  }

  acquire(key: string, token: string, leaseMs: number, expectedVersion: string, isOver = false): Promise<Acquired> {
    const compareWith = this.#compares || expectedVersion === "*" ? expectedVersion : "?";
    return withLife(leaseMs, (life) =>
      this.#run("acquire", ACQUIRE, key, [token, life, compareWith, flag(isOver)], (given) => {
        const reply = given as AcquireReply;
        const answer = this.#acquired(reply);
        if (typeof answer !== "string") return answer;
        // The entry there is in its last millisecond, or cannot be read: it is taken for the expected one.
        return new Further([token, life, answer, flag(reply[1] === 0 || reply[1] === 1)]);
      }),
    );
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return withLife(leaseMs, (life) => this.#run("renew", RENEW_LEASE, key, [token, life], isOne));
  }

  async release(key: string, token: string): Promise<void> {
    await this.#run("release", RELEASE, key, [token], isOne);
  }

  async store(key: string, token: string, expectedVersion: string, entry: StoredEntry): Promise<boolean> {
    const { layout, epochMs, writeIds } = this.#settings;
    const condition: readonly (string | Buffer)[] = [token, this.#compares ? expectedVersion : "?"];
    const written = encodeEntry(entry, layout, epochMs(), writeIdOf(entry, writeIds)) ?? LIFE_IS_OVER;
    return this.#run("store", STORE, key, condition.concat(written), isOne);
  }

  touch(key: string, seen: string, life: StoredLife): Promise<boolean> {
    const { layout, epochMs } = this.#settings;
    try {
      const written = encodeEntry({ ...life, data: NOTHING }, layout, epochMs(), seen);
      if (written === undefined) return Promise.resolve(false);
      const [lifeMs, , , ...fields] = written;
      return this.#run("store", TOUCH, key, [this.#compares ? seen : "?", lifeMs, ...fields], isOne);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  confirm(key: string): Promise<string> {
    if (!this.#compares) return Promise.resolve("");
    return this.#send<string>(["HGET", "w"], key, (reply) => {
      if (reply === null) return new Further(["HLEN"]);
      return typeof reply === "number" ? (reply === 0 ? "" : NO_VERSION) : versionOf(reply as Buffer);
    }).catch(ofAnotherType);
  }

  /** @returns only the version of an entry that cannot be read. */
  #acquired([kind, detail, fields]: AcquireReply): Acquired | string {
    switch (kind) {
      case 0:
        return { granted: false, heldForMs: detail };
      case 1:
        return { granted: true, version: this.#compares ? detail.toString("latin1") : "" };
      case 2: {
        const entry = decodeEntry(fields, detail, this.#settings.epochMs, "full");
        return entry === undefined ? versionOf(fields[3]) : { granted: false, entry };
      }
    }
  }
}

type AcquireReply =
  | readonly [held: 0, ttlMs: number, none?: undefined]
  | readonly [granted: 1, version: Buffer, none?: undefined]
  | readonly [changed: 2, ttlMs: number, fields: EntryFields];

/**
 * Sends the life of a lease as PEXPIRE wants it: in whole milliseconds, at most the longest that a lease is given.
 * Rejects with `InvalidArgumentError` for `NaN`.
 */
export async function withLife<T>(leaseMs: number, send: (life: string) => Promise<T>): Promise<T> {
  if (Number.isNaN(leaseMs)) throw new InvalidArgumentError("leaseMs must be a number of milliseconds, got NaN");
  return send(String(Math.min(Math.max(1, Math.ceil(leaseMs)), MAX_LEASE_MS)));
}

/** In place of what is written: the entry is removed. */
const LIFE_IS_OVER: readonly string[] = ["0"];

/** The version of a key of another type. Any other error stays one. */
export function ofAnotherType(error: unknown): "!" {
  if (isWrongType(error)) return "!";
  throw error;
}

/** As scripts take it. */
export const flag = (isSet: boolean): "0" | "1" => (isSet ? "1" : "0");

export const isOne = (reply: unknown): boolean => reply === 1;
