import type { StoredEntry } from "@hotset/core";
import { Further } from "../connection/command-queue.ts";
import { STRING_LEASES } from "../lua/lease-scripts.ts";
import { HEAD_BYTES } from "../lua/present.ts";
import { TOUCH_STRING } from "../lua/string-scripts.ts";
import { writeIdOf } from "./entry-fields.ts";
import {
  ifStored,
  isOne,
  LIFE_IS_OVER,
  NOTHING,
  ofAnotherType,
  RedisLeases,
  type LeaseCommands,
  type LeaseSettings,
  type PlainCommand,
  type PlainCommands,
  type StoredLife,
  type Unreadable,
} from "./leases.ts";
import { serverMsOf } from "./server-clock.ts";
import { isStaged } from "./staged-entry.ts";
import { decodeString, encodeString, placeholder, scriptArguments, stamp, versionIn } from "./string-entry.ts";

/** The server of an entry, as far as a backend of strings knows it. */
export interface StringServers {
  /** The time there, at the earliest; `undefined` where it is not known. */
  earliestMs(key: string): number | undefined;
  /** Whether it knows IFEQ, and nothing has to be announced. */
  storesPlain(key: string): boolean;
  /** It does not know IFEQ. */
  noteNoIfeq(key: string): void;
}

/** Leases of the string layout. */
export class StringLeases extends RedisLeases {
  readonly #servers: StringServers;

  constructor(commands: LeaseCommands, servers: StringServers, settings: LeaseSettings) {
    super(commands, STRING_LEASES, settings);
    this.#servers = servers;
  }

  override async touch(key: string, seen: string, life: StoredLife): Promise<boolean> {
    const encoded = encodeString({ ...life, data: NOTHING }, seen);
    if (encoded === undefined) return false;
    const { lifeMs, freshMs } = encoded;
    return this.commands.run("store", TOUCH_STRING, key, [seen, lifeMs, freshMs, life.meta], isOne);
  }

  override async store(key: string, token: string, seen: string, entry: StoredEntry): Promise<boolean> {
    const { run, counted } = this.commands;
    const script = this.scripts.store;
    const version = writeIdOf(entry, this.writeIds);
    const encoded = encodeString(entry, version);
    if (encoded === undefined) return run("store", script, key, [token, seen, ...LIFE_IS_OVER], isOne);
    const serverMs = this.#servers.earliestMs(key);
    if (serverMs !== undefined) stamp(encoded, serverMs);
    const args = [token, seen, ...scriptArguments(encoded, serverMs !== undefined)];
    if (isStaged(encoded.value.length)) return run("store", script, key, args, isOne);
    if (seen !== "" || serverMs === undefined || !this.#servers.storesPlain(key))
      return counted(key, () => this.storeSmall(key, seen, args), ifStored);
    const life = encoded.lifeMs === "" ? [] : ["PX", encoded.lifeMs];
    const replace: PlainCommand = ["SET", encoded.value, ...life, "IFEQ", placeholder(token)];
    const plain: PlainCommands<boolean> = {
      operation: "store",
      key,
      // Redis does not count SET as a read. So it pushes this store because of the first GETRANGE, and the next change
      // because of the last one, which must find this very entry.
      before: [
        ["entry", ["GETRANGE", "0", "0"]],
        ["entry", replace],
      ],
      last: ["GETRANGE", "0", String(HEAD_BYTES - 1)],
      settled: ([, replaced, head]) => {
        if (versionIn(head as Buffer) === version) return true;
        // Any other refusal, such as for want of memory, says nothing about the command.
        if (replaced instanceof Error && replaced.message.includes("syntax")) this.#servers.noteNoIfeq(key);
        return new Further(args);
      },
      script,
      args,
      interpret: isOne,
    };
    return counted(key, () => this.commands.runPlain(plain), ifStored);
  }

  override confirm(key: string): Promise<string> {
    return this.commands
      .confirm(["GETRANGE", "0", String(HEAD_BYTES - 1)], key, (reply) => versionIn(reply as Buffer))
      .catch(ofAnotherType);
  }

  protected override changed(entry: unknown, time: unknown): StoredEntry | Unreadable {
    const version = versionIn(entry as Buffer);
    return decodeString(entry as Buffer, serverMsOf(time)) ?? { version, isOver: true };
  }
}
