import type { Leases, StoredEntry } from "@hotset/core";
import { writeIdOf, type WriteIds } from "./entry-fields.ts";
import {
  flag,
  isOne,
  NOTHING,
  ofAnotherType,
  withLife,
  type RunLeaseScript,
  type SendEntryCommand,
  type StoredLife,
} from "./leases.ts";
import {
  ACQUIRE_STRING,
  HEAD_BYTES,
  RELEASE_STRING,
  RENEW_STRING,
  STORE_STRING,
  TOUCH_STRING,
} from "../lua/string-scripts.ts";
import type { Script } from "../lua/script.ts";
import { Further } from "../connection/command-queue.ts";
import { serverMsOf } from "./server-clock.ts";
import { decodeString, encodeString, placeholder, scriptArguments, stamp, versionIn } from "./string-entry.ts";

type Acquired = Awaited<ReturnType<Leases["acquire"]>>;

type PlainCommand = readonly [name: string, ...more: (string | Buffer)[]];

/** Plain commands over the key of an entry, and the script that is asked where they settle nothing. */
export interface PlainCommands<T> {
  readonly operation: "acquire" | "store";
  readonly key: string;
  /** Both over the entry, unless the second is over its lease. Each without the key, which is its second word. */
  readonly commands: readonly [first: PlainCommand, second: PlainCommand];
  readonly second: "entry" | "lease";
  /** Reads both replies; the first is an `Error` where it was refused. `undefined` asks the script. */
  readonly settled: (first: unknown, second: unknown) => T | undefined;
  readonly script: Script;
  readonly args: readonly (string | Buffer)[];
  readonly interpret: (reply: unknown) => T | Further;
}

/** The part of a backend that its leases use. */
export interface LeaseCommands {
  readonly run: RunLeaseScript;
  readonly confirm: SendEntryCommand;
  runPlain<T>(plain: PlainCommands<T>): Promise<T>;
  /** The time on the server of `key`, at the earliest; `undefined` where it is not known. */
  earliestMs(key: string): number | undefined;
  /** Whether the lease of `key` may be taken by plain commands. */
  acquiresPlain(key: string): boolean;
  /** A refresh that began when the entry was there has a lease for so long. */
  noteRefresh(key: string, heldForMs: number): void;
  /** Whether the server of `key` knows IFEQ, and nothing has to be announced. */
  storesPlain(key: string): boolean;
  /** The server of `key` does not know IFEQ. */
  noteNoIfeq(key: string): void;
}

export interface StringLeaseSettings {
  readonly leaseMs: number;
  readonly writeIds: WriteIds;
}

/**
 * Leases of the string layout. A missing entry has a placeholder in its place; any other has a lease beside it, as in
 * the hash layout. Versions are the same as there.
 */
export class StringLeases implements Leases {
  readonly leaseMs: number;
  readonly #commands: LeaseCommands;
  readonly #writeIds: WriteIds;

  constructor(commands: LeaseCommands, settings: StringLeaseSettings) {
    this.#commands = commands;
    this.#writeIds = settings.writeIds;
    this.leaseMs = settings.leaseMs;
  }

  acquire(key: string, token: string, leaseMs: number, seen: string, isOver = false): Promise<Acquired> {
    return withLife(leaseMs, (life) => this.#acquire(key, token, life, seen, isOver));
  }

  #acquire(key: string, token: string, life: string, seen: string, isOver: boolean): Promise<Acquired> {
    const isPlain = seen === "" && this.#commands.acquiresPlain(key);
    let mayBackOff = !isPlain && seen === "";
    const interpret = (reply: unknown): Acquired | Further => {
      const answer = acquired(reply as AcquireReply);
      if (mayBackOff && typeof answer === "object" && "heldForMs" in answer)
        this.#commands.noteRefresh(key, answer.heldForMs);
      // The entry there is over by its own end, or cannot be read: it is taken for the expected one.
      return typeof answer === "string" ? new Further([token, life, answer, "0", "1"]) : answer;
    };
    const args = [token, life, seen, flag(isPlain), flag(isOver)];
    if (!isPlain) return this.#commands.run("acquire", ACQUIRE_STRING, key, args, interpret);
    return this.#commands.runPlain<Acquired>({
      operation: "acquire",
      key,
      commands: [["SET", placeholder(token), "NX", "PX", life], ["EXISTS"]],
      second: "lease",
      // Redis pushes the end of a lease only to clients that have read its key. SET NX is not a read: where it is
      // refused, the script is asked, which reads. An entry that ended while it was refreshed has its lease beside it.
      settled: (taken, refreshes) => {
        const isTaken = taken !== null && !(taken instanceof Error);
        // Otherwise the script removes the placeholder. Redis pushes that to this process too, whose waiting load
        // would try again at once, without end.
        mayBackOff = isTaken;
        return isTaken && refreshes === 0 ? { granted: true, version: "" } : undefined;
      },
      script: ACQUIRE_STRING,
      args,
      interpret,
    });
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return withLife(leaseMs, (life) => this.#commands.run("renew", RENEW_STRING, key, [token, life], isOne));
  }

  async release(key: string, token: string): Promise<void> {
    await this.#commands.run("release", RELEASE_STRING, key, [token], isOne);
  }

  async touch(key: string, seen: string, life: StoredLife): Promise<boolean> {
    const encoded = encodeString({ ...life, data: NOTHING }, seen);
    if (encoded === undefined) return false;
    const { lifeMs, freshMs } = encoded;
    return this.#commands.run("store", TOUCH_STRING, key, [seen, lifeMs, freshMs, life.meta], isOne);
  }

  async store(key: string, token: string, seen: string, entry: StoredEntry): Promise<boolean> {
    const version = writeIdOf(entry, this.#writeIds);
    const encoded = encodeString(entry, version);
    if (encoded === undefined) return this.#commands.run("store", STORE_STRING, key, [token, seen, "0"], isOne);
    const serverMs = this.#commands.earliestMs(key);
    if (serverMs !== undefined) stamp(encoded, serverMs);
    const args = [token, seen, ...scriptArguments(encoded, serverMs !== undefined)];
    if (serverMs === undefined || seen !== "" || !this.#commands.storesPlain(key))
      return this.#commands.run("store", STORE_STRING, key, args, isOne);
    const life = encoded.lifeMs === "" ? [] : ["PX", encoded.lifeMs];
    return this.#commands.runPlain({
      operation: "store",
      key,
      // Redis does not count SET as a read. So it pushes the next change because of the GETRANGE, which must find this
      // very entry.
      commands: [
        ["SET", encoded.value, ...life, "IFEQ", placeholder(token)],
        ["GETRANGE", "0", String(HEAD_BYTES - 1)],
      ],
      second: "entry",
      settled: (replaced, head) => {
        if (versionIn(head as Buffer) === version) return true;
        // Any other refusal, such as for want of memory, says nothing about the command.
        if (replaced instanceof Error && replaced.message.includes("syntax")) this.#commands.noteNoIfeq(key);
        return undefined;
      },
      script: STORE_STRING,
      args,
      interpret: isOne,
    });
  }

  confirm(key: string): Promise<string> {
    return this.#commands
      .confirm(["GETRANGE", "0", String(HEAD_BYTES - 1)], key, (reply) => versionIn(reply as Buffer))
      .catch(ofAnotherType);
  }
}

type AcquireReply =
  | readonly [held: 0, ttlMs: number, none?: undefined]
  | readonly [granted: 1, version: Buffer, none?: undefined]
  | readonly [changed: 2, entry: Buffer, time: unknown];

/** @returns only the version of an entry that cannot be read. */
function acquired([kind, detail, time]: AcquireReply): Acquired | string {
  switch (kind) {
    case 0:
      return { granted: false, heldForMs: detail };
    case 1:
      return { granted: true, version: detail.toString("latin1") };
    case 2: {
      const entry = decodeString(detail, serverMsOf(time));
      return entry === undefined ? versionIn(detail) : { granted: false, entry };
    }
  }
}
