import type { DeleteStatus, Leases, StoredEntry } from "@hotset/core";
import { readInParts, type BatchAnswer } from "./batch-read.ts";
import { Further, type Command, type CommandQueue, type RawClient } from "../connection/command-queue.ts";
import { EntryBackend, type BackendHold, type BackendSettings, type Removal } from "./entry-backend.ts";
import { writeIdOf } from "./entry-fields.ts";
import {
  MARK_STRING_STALE,
  MARK_STRING_STALE_ALONE,
  REMOVE_STRING,
  SERVER_TIME,
  WRITE_STRING,
  WRITE_STRING_ALONE,
} from "../lua/string-scripts.ts";
import { HEAD_BYTES } from "../lua/present.ts";
import { isWrongType } from "../primitives/faults.ts";
import { ServerClock } from "./server-clock.ts";
import { stageString, type StagedEntry } from "./staged-entry.ts";
import {
  decodeString,
  encodeString,
  isEntry,
  PLACEHOLDER_BYTES,
  scriptArguments,
  stamp,
  versionIn,
} from "./string-entry.ts";
import { StringLeases } from "./string-leases.ts";
import { ignore } from "../primitives/ignore.ts";

/** One server, as far as it is known. */
interface Server {
  readonly clock: ServerClock;
  /** Until when IFEQ is not tried. */
  noIfeqUntilMs: number;
}

/** After this time a server that refused IFEQ is tried again, in ms: another version may run by then. */
const TRY_IFEQ_AFTER_MS = 60_000;

/** It changes nothing, and replies with the length. No entry is as short as a placeholder. */
const REMOVAL: Removal = {
  look: ["SETRANGE", "0", ""],
  was: (reply) => {
    if (reply instanceof Error) return isWrongType(reply) ? "entry" : "unknown";
    return reply === 0 ? "nothing" : (reply as number) <= PLACEHOLDER_BYTES ? "placeholder" : "entry";
  },
  script: REMOVE_STRING,
};

/**
 * Entries in Redis as strings. A read is GET, many reads are MGET. The load of a missing entry takes plain commands:
 * one puts a placeholder there, one replaces it; so does a write. Every other change is a script.
 */
export class StringBackend extends EntryBackend {
  override readonly leases: Leases;
  readonly #settings: BackendSettings;
  /** By part. */
  readonly #servers = new Map<string, Server>();

  constructor(hold: BackendHold, settings: BackendSettings) {
    super(hold, settings);
    this.#settings = settings;
    this.leases = new StringLeases(
      this.leaseCommands,
      {
        earliestMs: (key) => this.#earliestMs(key),
        storesPlain: (key) =>
          this.announce.channel === "" &&
          this.#server(this.keys.entry(key)).noIfeqUntilMs <= this.link.queue.clock.now(),
        noteNoIfeq: (key) => {
          this.#server(this.keys.entry(key)).noIfeqUntilMs = this.link.queue.clock.now() + TRY_IFEQ_AFTER_MS;
        },
      },
      settings,
    );
  }

  override read(key: string): Promise<StoredEntry | undefined> {
    return this.at(key, (entryKey) =>
      this.begin((client, command, queue) => this.#get(entryKey, client, command, queue)),
    );
  }

  #get(entryKey: string, client: RawClient, command: Command<StoredEntry | undefined>, queue: CommandQueue): void {
    const clock = this.#clock(entryKey, client);
    const answer = client.sendCommand(["GET", entryKey]);
    command.sent(1);
    answer.then(
      (reply) => {
        queue.replied();
        if (reply === null || !isEntry(reply as Buffer)) return command.done(undefined);
        this.#answer(command, { clock, entryKey, client }, (now) => decodeString(reply as Buffer, now));
      },
      (error: unknown) => {
        queue.replied();
        if (isWrongType(error)) command.done(undefined);
        else command.fail(this.fault(command.origin, error));
      },
    );
  }

  override async write(key: string, entry: StoredEntry): Promise<void> {
    const version = writeIdOf(entry, this.#settings.writeIds);
    const encoded = encodeString(entry, version);
    if (encoded === undefined) return this.script("remove", REMOVE_STRING, key, [], ignore);
    if (!this.isPlain) return this.script("write", WRITE_STRING, key, scriptArguments(encoded), ignore);
    const serverMs = this.#earliestMs(key);
    if (serverMs === undefined) return this.script("write", WRITE_STRING_ALONE, key, scriptArguments(encoded), ignore);
    stamp(encoded, serverMs);
    const args = scriptArguments(encoded, true);
    return this.runPlain<void>({
      operation: "write",
      key,
      before: [
        ["lease", ["DEL"]],
        ["entry", ["SET", encoded.value, ...(encoded.lifeMs === "" ? [] : ["PX", encoded.lifeMs])]],
      ],
      // SET is no read, and Redis pushes the next change of what was read: that has to be this entry.
      last: ["GETRANGE", "0", String(HEAD_BYTES - 1)],
      settled: ([, set, head]) => {
        // Refused, for want of memory say: the script removes the former entry.
        if (set instanceof Error) return new Further(args);
        if (versionIn(head as Buffer) !== version) this.coherence?.changed(key);
        return undefined;
      },
      script: WRITE_STRING,
      args,
      interpret: ignore,
    });
  }

  #earliestMs(key: string): number | undefined {
    const { client } = this.link.queue;
    if (client === undefined) return undefined;
    const clock = this.#clock(this.keys.entry(key), client);
    return clock.counts(client) ? clock.earliestMs : undefined;
  }

  override remove(key: string): Promise<DeleteStatus> {
    return this.removed(key, REMOVAL);
  }

  override markStale(key: string): Promise<"stale" | "missing"> {
    return this.script("markStale", this.isPlain ? MARK_STRING_STALE_ALONE : MARK_STRING_STALE, key, [], (count) =>
      count === 1 ? "stale" : "missing",
    );
  }

  protected override async mayRead(key: string): Promise<void> {
    await super.mayRead(key);
    const command = this.scriptCommand(SERVER_TIME, [this.keys.entry(key)], []);
    await this.send(this.origins.read, command, ignore, { script: SERVER_TIME });
  }

  /** In a cluster MGET takes the keys of one slot alone. */
  protected override async readMany(keys: readonly string[]): Promise<BatchAnswer> {
    if (keys.length === 0) return [];
    if (this.parts !== undefined) return readInParts(keys, this.batchOf(keys), (key) => this.read(key));
    const entryKeys = keys.map((key) => this.keys.entry(key));
    const entryKey = entryKeys[0]!;
    return this.begin<BatchAnswer>((client, command, queue) => {
      const clock = this.#clock(entryKey, client);
      const answer = client.sendCommand(["MGET", ...entryKeys]);
      command.sent(1);
      answer.then(
        (reply) => {
          queue.replied();
          const values = reply as readonly (Buffer | null)[];
          if (!values.some((value) => value !== null && isEntry(value)))
            return command.done(values.map(() => undefined));
          this.#answer(command, { clock, entryKey, client }, (now) =>
            values.map((value) => (value === null ? undefined : decodeString(value, now))),
          );
        },
        (error: unknown) => {
          queue.replied();
          command.fail(this.fault(command.origin, error));
        },
      );
    });
  }

  protected override stage(args: readonly (string | Buffer)[], key: () => string): StagedEntry | undefined {
    return stageString(args, key);
  }

  /** That of a key in Redis. */
  #server(entryKey: string): Server {
    const part = this.link.parts?.of(entryKey) ?? "";
    let server = this.#servers.get(part);
    if (server === undefined) {
      const names = this.link.parts?.names() ?? [];
      for (const known of this.#servers.keys()) if (!names.includes(known)) this.#servers.delete(known);
      const clock = new ServerClock(() => this.link.queue.clock.now(), this.#settings.epochMs);
      this.#servers.set(part, (server = { clock, noIfeqUntilMs: -Infinity }));
    }
    return server;
  }

  /** The clock of the server of a key; asks for the time where the last reply is too old. */
  #clock(entryKey: string, client: RawClient): ServerClock {
    const { clock } = this.#server(entryKey);
    if (clock.isDue(client)) void this.#ask(clock, entryKey, client);
    return clock;
  }

  #ask(clock: ServerClock, entryKey: string, client: RawClient): Promise<void> {
    if (clock.asking !== undefined) return clock.asking;
    const sent = clock.instant();
    const command = this.scriptCommand(SERVER_TIME, [entryKey], []);
    clock.asking = this.send(this.origins.read, command, (time) => clock.note(time, sent, client), {
      script: SERVER_TIME,
    }).finally(() => {
      clock.asking = undefined;
    });
    clock.asking.catch(ignore);
    return clock.asking;
  }

  /** Settles a read of an entry: at once where the time on its server is known. */
  #answer<T>(command: Command<T>, { clock, entryKey, client }: Asked, decode: (serverMs: number) => T): void {
    const answer = (): void => command.answer(() => decode(clock.latestMs));
    if (clock.counts(client)) return answer();
    this.#ask(clock, entryKey, client).then(answer, (error: unknown) => command.fail(error));
  }
}

/** A read that was sent. */
interface Asked {
  readonly clock: ServerClock;
  readonly entryKey: string;
  readonly client: RawClient;
}
