import { InvalidArgumentError, type Leases, type StoredEntry } from "@hotset/core";
import { Further } from "../connection/command-queue.ts";
import type { LeaseScripts } from "../lua/lease-scripts.ts";
import { MAX_LEASE_MS } from "../lua/lease-scripts.ts";
import { ofEntry, type Script } from "../lua/script.ts";
import { isWrongType } from "../primitives/faults.ts";
import type { OwnChange } from "./coherence.ts";
import type { WriteIds } from "./entry-fields.ts";
import { placeholder } from "./string-entry.ts";

export { MAX_LEASE_MS };

export interface LeaseSettings {
  readonly leaseMs: number;
  readonly writeIds: WriteIds;
}

/** Asks for the same script, over the entry and its lease. */
export class OverBoth extends Further {}

/** The part of a backend that its leases use. */
export interface LeaseCommands {
  /** Runs a script over the entry of `key`, and its lease unless it is of an entry alone. */
  run<T>(
    operation: "acquire" | "renew" | "store" | "release",
    script: Script,
    key: string,
    args: readonly (string | Buffer)[],
    /** May ask for the same script with other arguments. */
    interpret: (reply: unknown) => T | Further,
  ): Promise<T>;
  /** Sends one plain command over the entry of `key`, on the connection that receives changes. */
  confirm<T>(
    command: EntryCommand,
    key: string,
    /** May ask for another command over the same entry. */
    interpret: (reply: unknown) => T | Further,
    /** Asks for one where the key is of another type. @default that is an error */
    onWrongType?: () => Further | undefined,
  ): Promise<T>;
  runPlain<T>(plain: PlainCommands<T>): Promise<T>;
  /** Changes an entry: reports of its changes meanwhile are counted, as one of them is that of the own change. */
  counted<T>(key: string, change: () => Promise<T>, done: (result: T) => OwnChange | undefined): Promise<T>;
  /** Whether a placeholder may be put in the key of a missing entry. */
  mayPlace(): boolean;
  /** Monotonic milliseconds. */
  now(): number;
}

/** Name and further arguments. */
export type EntryCommand = readonly [name: string, ...more: string[]];

export type PlainCommand = readonly [name: string, ...more: (string | Buffer)[]];

/** Plain commands over an entry, and the script that is asked where they settle nothing. */
export interface PlainCommands<T> {
  readonly operation: "acquire" | "store" | "write";
  readonly key: string;
  /** Over the entry, or its lease. Each without the key, which is its second word. */
  readonly before: readonly (readonly [over: "entry" | "lease", command: PlainCommand])[];
  /** Over the entry. */
  readonly last: PlainCommand;
  /** Reads all replies in order; one is an `Error` where it was refused. */
  readonly settled: (replies: readonly unknown[]) => T | Further;
  readonly script: Script;
  /** Arguments of the script, where a key is of another type. */
  readonly args: readonly (string | Buffer)[];
  readonly interpret: (reply: unknown) => T | Further;
}

export type StoredLife = Parameters<Leases["touch"]>[2];

export type Acquired = Awaited<ReturnType<Leases["acquire"]>>;

/** In place of the value, which is not sent. */
export const NOTHING: Uint8Array = new Uint8Array(0);

/** An entry that cannot be read, or in its last millisecond. */
export interface Unreadable {
  readonly version: string;
  /** Whether it is removed with the grant. */
  readonly isOver: boolean;
}

/** The reply to {@link LeaseScripts.acquire}; the last two are the entry, as the layout replies it. */
type AcquireReply =
  | readonly [held: 0, ttlMs: number, none?: undefined]
  | readonly [granted: 1, version: Buffer, none?: undefined]
  | readonly [changed: 2, first: unknown, second: unknown];

/**
 * Leases in Redis. A missing entry has a placeholder in its key, which holds the token of the process that loads it:
 * every change of the key ends it. Any other entry has a lease next to it, and is compared by its version. Both expire
 * without help.
 *
 * Versions are those of entries; besides, `''` for no entry, `-` for one that another program wrote, and `!` for a key
 * of another type. The plain layout has no versions: there nothing is compared, and each change ends the lease.
 */
export abstract class RedisLeases implements Leases {
  readonly leaseMs: number;
  protected readonly commands: LeaseCommands;
  protected readonly scripts: LeaseScripts;
  protected readonly writeIds: WriteIds;
  readonly #storeAlone: Script;
  /**
   * Missing entries over which a refresh runs, and until when its lease lasts. That of the entry is asked for by the
   * script, which looks for the other before it changes anything.
   */
  readonly #refreshes = new Map<string, number>();
  /** Until when GETEX is taken to be refused: then the script is asked for each. */
  #noGetexUntilMs = -Infinity;

  constructor(commands: LeaseCommands, scripts: LeaseScripts, settings: LeaseSettings) {
    this.commands = commands;
    this.scripts = scripts;
    this.#storeAlone = ofEntry(scripts.store);
    this.writeIds = settings.writeIds;
    this.leaseMs = settings.leaseMs;
  }

  /** Whether entries have versions. */
  protected readonly compares: boolean = true;

  /** Whether a missing entry gets a placeholder. If not, each lease is next to its entry. */
  get #hasPlaceholders(): boolean {
    return this.compares && this.commands.mayPlace();
  }

  protected abstract changed(first: unknown, second: unknown): StoredEntry | Unreadable;

  abstract store(key: string, token: string, seen: string, entry: StoredEntry): Promise<boolean>;
  abstract touch(key: string, seen: string, life: StoredLife): Promise<boolean>;
  abstract confirm(key: string): Promise<string>;

  acquire(key: string, token: string, leaseMs: number, seen: string, isOver = false): Promise<Acquired> {
    return orRejected(() => this.#acquire(key, token, lifeOf(leaseMs), seen, isOver));
  }

  /**
   * Three plain commands for a missing entry: the placeholder, a look at the lease of a refresh that began when the
   * entry was there, and a read of the placeholder. `SET` does not count as a read, and only of what was read changes
   * are pushed. GETEX counts as a write: GET would have Redis remember the lease of each entry. Where they settle
   * nothing, the script decides.
   */
  #acquire(key: string, token: string, life: string, seen: string, isOver: boolean): Promise<Acquired> {
    const isMissing = seen === "" && this.#hasPlaceholders;
    const isPlain = isMissing && this.#byScriptUntilMs(key) <= this.commands.now();
    const compareWith = this.compares || seen === "*" ? seen : "?";
    const put = this.#hasPlaceholders ? "0" : "-";
    let mayBackOff = !isPlain && isMissing;
    const script = this.scripts.acquire;
    const interpret = (given: unknown): Acquired | Further => {
      const [kind, first, second] = given as AcquireReply;
      switch (kind) {
        case 0:
          if (mayBackOff) this.#noteRefresh(key, this.commands.now() + first);
          return { granted: false, heldForMs: first };
        case 1:
          return { granted: true, version: this.compares ? first.toString("latin1") : "" };
        case 2: {
          const there = this.changed(first, second);
          if (!("isOver" in there)) return { granted: false, entry: there };
          // It is taken for the expected one.
          return new Further([token, life, there.version, put, flag(there.isOver)]);
        }
      }
    };
    const args = [token, life, compareWith, put, flag(isOver)];
    if (!isPlain) return this.commands.run("acquire", script, key, args, interpret);
    const mine = placeholder(token);
    return this.commands.runPlain<Acquired>({
      operation: "acquire",
      key,
      before: [
        ["entry", ["SET", mine, "NX", "PX", life]],
        ["lease", ["GETEX"]],
      ],
      last: ["GET"],
      settled: ([taken, refresh, there]) => {
        const isTaken = taken !== null && !(taken instanceof Error);
        // Otherwise the script removes the placeholder. Redis pushes that to this process too, whose waiting load
        // would try again immediately, without end.
        mayBackOff = isTaken;
        if (refresh instanceof Error) this.#noGetexUntilMs = this.commands.now() + NO_GETEX_MS;
        const isGranted = isTaken && refresh === null && there !== null && mine.equals(there as Buffer);
        return isGranted ? GRANTED : new Further([token, life, "", flag(isTaken), "0"]);
      },
      script,
      args,
      interpret,
    });
  }

  #byScriptUntilMs(key: string): number {
    const refreshUntilMs = this.#refreshes.size === 0 ? undefined : this.#refreshes.get(key);
    return Math.max(refreshUntilMs ?? -Infinity, this.#noGetexUntilMs);
  }

  /** Forgetting the oldest costs one more attempt, which wakes those who wait for it. */
  #noteRefresh(key: string, untilMs: number): void {
    this.#refreshes.delete(key);
    if (this.#refreshes.size >= MAX_REFRESHES) this.#refreshes.delete(this.#refreshes.keys().next().value!);
    this.#refreshes.set(key, untilMs);
  }

  /** Stores what is not staged, in the place of the placeholder alone if there was no entry. */
  protected storeSmall(key: string, seen: string, args: readonly (string | Buffer)[]): Promise<boolean> {
    // Over a placeholder there is no lease next to it. Where it is refused, one of this token ends.
    let isAlone = this.#hasPlaceholders && seen === "";
    const interpret = (reply: unknown): boolean | Further => {
      if (reply === 1 || !isAlone) return isOne(reply);
      isAlone = false;
      return new OverBoth(args);
    };
    return this.commands.run("store", isAlone ? this.#storeAlone : this.scripts.store, key, args, interpret);
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    const send = (): Promise<unknown> =>
      this.commands.run<unknown>("renew", this.scripts.renew, key, [token, lifeOf(leaseMs)], (reply) => reply);
    const ofPlaceholder = (reply: unknown): OwnChange | undefined => (reply === 2 ? "renewed" : undefined);
    return orRejected(() => this.commands.counted(key, send, ofPlaceholder).then((reply) => reply !== 0));
  }

  release(key: string, token: string): Promise<void> {
    return this.commands.run("release", this.scripts.release, key, [token], () => undefined);
  }
}

const MAX_REFRESHES = 1_000;

/** A user without the right to GETEX has it tried again after this time. */
const NO_GETEX_MS = 60_000;

const GRANTED: Acquired = Object.freeze({ granted: true, version: "" });

/**
 * The life of a lease as PEXPIRE wants it: in whole milliseconds, at most the longest that a lease is given.
 *
 * @throws {InvalidArgumentError} for `NaN`.
 */
export function lifeOf(leaseMs: number): string {
  if (Number.isNaN(leaseMs)) throw new InvalidArgumentError("leaseMs must be a number of milliseconds, got NaN");
  return String(Math.min(Math.max(1, Math.ceil(leaseMs)), MAX_LEASE_MS));
}

/** What `call` returns; a rejection for what it throws. */
export function orRejected<T>(call: () => Promise<T>): Promise<T> {
  try {
    return call();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** In place of what is written: the entry is removed. */
export const LIFE_IS_OVER: readonly string[] = ["0"];

/** The version of a key of another type. Any other error stays one. */
export function ofAnotherType(error: unknown): "!" {
  if (isWrongType(error)) return "!";
  throw error;
}

/** As scripts take it. */
const flag = (isSet: boolean): "0" | "1" => (isSet ? "1" : "0");

export const isOne = (reply: unknown): boolean => reply === 1;

export const ifStored = (isStored: boolean): OwnChange | undefined => (isStored ? "stored" : undefined);
