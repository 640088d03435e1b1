import { InvalidArgumentError, type LeaseReply, type LeaseRequest, type Leases, type StoredEntry } from "@hotset/core";
import { Further, type Args } from "../connection/command-queue.ts";
import { MAX_LEASE_MS } from "../lua/lease-scripts.ts";
import { isWrongType } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import type { OwnChange } from "./coherence.ts";
import { writeIdOf, type WriteIds } from "./entry-fields.ts";
import { placeholder, type EntryLayout, type Question, type StoredLife } from "./entry-layout.ts";
import { isStaged } from "./staged-entry.ts";
import { orRejected, over, type Plain, type Step } from "./steps.ts";

export { MAX_LEASE_MS };

export interface LeaseSettings {
  readonly leaseMs: number;
  readonly writeIds: WriteIds;
}

/** The part of a backend that its leases use. */
export interface LeaseCommands {
  run<T>(step: Step<T>): Promise<T>;
  /** Asks on the connection that receives changes. */
  confirm<T>(key: string, question: Question<T>): Promise<T>;
  /** Changes an entry: reports of its changes meanwhile are counted, as one of them is that of the own change. */
  counted<T>(key: string, change: () => Promise<T>, done: (result: T) => OwnChange | undefined): Promise<T>;
  /** Whether a placeholder may be put in the key of a missing entry. */
  mayPlace(): boolean;
  /** Whether changes are announced, which takes a script. */
  readonly announces: boolean;
  /** Whether a cache keeps copies of what is stored: then the next change of it must be reported. */
  keepsCopies(): boolean;
  /** Monotonic milliseconds. */
  now(): number;
  /** Epoch milliseconds for what is written, as {@link EntryLayout.encode} takes them. */
  timeAt(key: string): number | undefined;
  /** Epoch milliseconds of this process. */
  epochMs(): number;
}

/** The reply to the script that takes a lease; the last two are the entry, as the layout replies it. */
type AcquireReply =
  | readonly [held: 0, ttlMs: number, none?: undefined]
  | readonly [granted: 1, version: Buffer, none?: undefined]
  | readonly [changed: 2, first: unknown, second: unknown];

/**
 * Leases in Redis. A missing entry has a placeholder in its key, which holds the token of the process that loads it:
 * every change of the key ends it. Any other entry has a lease next to it, and is compared by its version. Both expire.
 *
 * Versions are those of entries; besides, `''` for no entry, `-` for one that another program wrote, and `!` for a key
 * of another type. The plain layout has no versions: there nothing is compared, and each change ends the lease.
 */
export class RedisLeases implements Leases {
  readonly leaseMs: number;
  readonly #commands: LeaseCommands;
  readonly #layout: EntryLayout;
  readonly #writeIds: WriteIds;
  /**
   * Missing entries over which a refresh runs, and until when its lease lasts. That of the entry is asked for by the
   * script, which looks for the other before it changes anything.
   */
  readonly #refreshes = new Map<string, number>();
  /** Until when GETEX is taken to be refused: then the script is asked for each. */
  #noGetexUntilMs = -Infinity;
  /** Until when IFEQ is taken to be unknown. */
  #noIfeqUntilMs = -Infinity;

  constructor(commands: LeaseCommands, layout: EntryLayout, settings: LeaseSettings) {
    this.#commands = commands;
    this.#layout = layout;
    this.#writeIds = settings.writeIds;
    this.leaseMs = settings.leaseMs;
  }

  /** Whether a missing entry gets a placeholder. If not, each lease is next to its entry. */
  get #hasPlaceholders(): boolean {
    return this.#layout.hasVersions && this.#commands.mayPlace();
  }

  acquire(request: LeaseRequest): Promise<LeaseReply> {
    return orRejected(() => this.#acquire(request, lifeOf(request.leaseMs)));
  }

  /**
   * Three plain commands for a missing entry: the placeholder, a look at the lease of a refresh that began when the
   * entry was there, and a read of the placeholder. `SET` does not count as a read, and only of what was read changes
   * are pushed. GETEX counts as a write: GET would have Redis remember the lease of each entry. Where they settle
   * nothing, the script decides.
   */
  #acquire({ key, token, seen, isOver = false }: LeaseRequest, life: string): Promise<LeaseReply> {
    const commands = this.#commands;
    const { hasVersions, scripts } = this.#layout;
    const isMissing = seen === "" && this.#hasPlaceholders;
    const isPlain = isMissing && this.#byScriptUntilMs(key) <= commands.now();
    const put = this.#hasPlaceholders ? "0" : "-";
    const isThere = seen.length > 1 && put === "0" && !isOver && !commands.announces;
    let mayBackOff = !isPlain && isMissing;
    const step: Step<LeaseReply> = {
      operation: "acquire",
      key,
      script: scripts.acquire,
      args: [token, life, hasVersions || seen === "*" ? seen : "?", put, flag(isOver)],
      interpret: (given) => {
        const [kind, first, second] = given as AcquireReply;
        switch (kind) {
          case 0:
            if (mayBackOff) this.#noteRefresh(key, commands.now() + first);
            return { granted: false, heldForMs: first };
          case 1:
            return { granted: true, version: hasVersions ? first.toString("latin1") : "" };
          case 2: {
            const there = this.#layout.changed(first, second, commands.epochMs);
            if (!("isOver" in there)) return { granted: false, entry: there };
            // It is taken for the expected one.
            return new Further([token, life, there.version, put, flag(there.isOver)]);
          }
        }
      },
    };
    if (isThere) {
      const args = [token, life, seen, "2", "0"];
      return commands.run({ ...step, args, plain: this.#beside(seen, args) });
    }
    if (!isPlain) return commands.run(step);
    const mine = placeholder(token);
    return commands.run({
      ...step,
      plain: {
        commands: (entryKey, lease) => [
          ["SET", entryKey, mine, "NX", "PX", life],
          ["GETEX", lease],
          // GET would be an error over an entry that is a hash.
          ["MGET", entryKey],
        ],
        settled: ([taken, refresh, found]) => {
          const [there] = found as readonly unknown[];
          const isTaken = isDone(taken);
          // Otherwise the script removes the placeholder, which is pushed to this process too: it would try without
          // end.
          mayBackOff = isTaken;
          if (refresh instanceof Error) this.#noGetexUntilMs = commands.now() + TRY_AGAIN_MS;
          const isGranted = isTaken && refresh === null && there != null && mine.equals(there as Buffer);
          return isGranted ? GRANTED : new Further([token, life, "", flag(isTaken), "0"]);
        },
      },
    });
  }

  /**
   * Three for an entry that is there: the lease, the version of the entry, which may have changed since it was read,
   * and a look at the lease, so that its end is pushed to those who wait. Where they settle nothing, the script gives
   * up the lease, and decides.
   */
  #beside(seen: string, args: readonly string[]): Plain<LeaseReply> {
    const { command, interpret } = this.#layout.version();
    return {
      commands: (entryKey, lease) => [
        ["SET", lease, args[0]!, "NX", "PX", args[1]!],
        over(entryKey, command),
        // Replicas, which lag behind, answer PTTL in capitals alone. An error of the last one would leave the lease.
        ["pttl", lease],
      ],
      settled: ([taken, head, left]) => {
        if (head instanceof Error || interpret(head) !== seen) return new Further(args);
        if (isDone(taken)) return { granted: true, version: seen };
        const heldForMs = left as number;
        return heldForMs >= 0 && heldForMs <= MAX_LEASE_MS ? { granted: false, heldForMs } : new Further(args);
      },
    };
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

  /**
   * Stores in the place of the placeholder alone if there was no entry: where that is refused, a lease of this token
   * ends. A value that is staged is stored by the script in any case.
   */
  store(key: string, token: string, seen: string, entry: StoredEntry): Promise<boolean> {
    return orRejected(() => {
      const version = writeIdOf(entry, this.#writeIds);
      const written = this.#layout.encode(entry, version, this.#commands.timeAt(key));
      const args = [token, this.#compared(seen), ...(written ?? LIFE_IS_OVER)];
      const { store } = this.#layout.scripts;
      const step: Step<boolean> = { operation: "store", key, script: store, args, interpret: isOne };
      if (written === undefined || isStaged(written)) return this.#commands.run(step);
      const small = seen === "" && this.#hasPlaceholders ? this.#inPlace(step, written, version) : step;
      // Without a read before it a plain store is not pushed for certain: a report may be that of another change.
      if (small.plain !== undefined && !this.#commands.keepsCopies()) return this.#commands.run(small);
      return this.#commands.counted(key, () => this.#commands.run(small), ifStored);
    });
  }

  #inPlace(step: Step<boolean>, written: Args, version: string): Step<boolean> {
    const { args } = step;
    const { set: setting } = this.#layout;
    const maySet = setting !== undefined && !this.#commands.announces && this.#noIfeqUntilMs <= this.#commands.now();
    const set = maySet ? setting(written, placeholder(args[0] as string)) : undefined;
    if (set === undefined) {
      let isAlone = true;
      const interpret = (reply: unknown): boolean | Further => {
        if (reply === 1 || !isAlone) return isOne(reply);
        isAlone = false;
        return new Further(args);
      };
      return { ...step, over: "entry", interpret };
    }
    const { command: question, interpret } = this.#layout.version();
    const plain: Step<boolean>["plain"] = {
      // Redis does not count SET as a read. So it pushes this store because of the first GETRANGE, and the next change
      // because of the last one, which must find this very entry. Without copies it need push neither.
      commands: (entryKey) =>
        (this.#commands.keepsCopies() ? [["GETRANGE", "0", "0"], set, question] : [set]).map((one) =>
          over(entryKey, one),
        ),
      settled: ([first, replaced = first, head]) => {
        if (head === undefined ? isDone(replaced) : interpret(head) === version) return true;
        // Any other refusal, such as for want of memory, says nothing about the command.
        if (String(replaced).includes("syntax")) this.#noIfeqUntilMs = this.#commands.now() + TRY_AGAIN_MS;
        return new Further(args);
      },
    };
    return { ...step, plain };
  }

  touch(key: string, seen: string, life: StoredLife): Promise<boolean> {
    return orRejected(() => {
      const written = this.#layout.encodeLife(life, seen, this.#commands.epochMs());
      if (written === undefined) return Promise.resolve(false);
      const { touch } = this.#layout.scripts;
      const args = [this.#compared(seen), ...written];
      return this.#commands.run({ operation: "store", key, script: touch, over: "entry", args, interpret: isOne });
    });
  }

  confirm(key: string): Promise<string> {
    if (!this.#layout.hasVersions) return Promise.resolve("");
    return this.#commands.confirm(key, this.#layout.version()).catch(ofAnotherType);
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    const { renew: script } = this.#layout.scripts;
    const send = (): Promise<unknown> =>
      this.#commands.run({ operation: "renew", key, script, args: [token, lifeOf(leaseMs)], interpret: asIs });
    const ofPlaceholder = (reply: unknown): OwnChange | undefined => (reply === 2 ? "renewed" : undefined);
    return orRejected(() => this.#commands.counted(key, send, ofPlaceholder).then((reply) => reply !== 0));
  }

  release(key: string, token: string): Promise<void> {
    const { release: script } = this.#layout.scripts;
    return this.#commands.run({ operation: "release", key, script, args: [token], interpret: ignore });
  }

  #compared(seen: string): string {
    return this.#layout.hasVersions ? seen : "?";
  }
}

const MAX_REFRESHES = 1_000;

/** After this time a command that was refused is tried again: another version may run by then. */
const TRY_AGAIN_MS = 60_000;

const GRANTED: LeaseReply = Object.freeze({ granted: true, version: "" });

/**
 * The life of a lease as PEXPIRE wants it: in whole milliseconds, at most the longest that a lease is given.
 *
 * @throws {InvalidArgumentError} for `NaN`.
 */
export function lifeOf(leaseMs: number): string {
  if (Number.isNaN(leaseMs)) throw new InvalidArgumentError("leaseMs must be a number of milliseconds, got NaN");
  return String(Math.min(Math.max(1, Math.ceil(leaseMs)), MAX_LEASE_MS));
}

/** In place of what is written: the entry is removed. */
const LIFE_IS_OVER: readonly string[] = ["0"];

/** The version of a key of another type. Any other error stays one. */
function ofAnotherType(error: unknown): "!" {
  if (isWrongType(error)) return "!";
  throw error;
}

/** A boolean in the form that scripts take. */
const flag = (isSet: boolean): "0" | "1" => (isSet ? "1" : "0");

const isDone = (reply: unknown): boolean => reply !== null && !(reply instanceof Error);
const asIs = (reply: unknown): unknown => reply;
const isOne = (reply: unknown): boolean => reply === 1;

const ifStored = (isStored: boolean): OwnChange | undefined => (isStored ? "stored" : undefined);
