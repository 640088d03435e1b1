import type {
  Backend,
  Batch,
  BreakerPolicy,
  Compressor,
  DeleteStatus,
  Format,
  Leases,
  Parts,
  Seal,
  StoredEntry,
  TagVersions,
} from "@hotset/core";
import { readInParts, readTogether, type BatchAnswer } from "./batch-read.ts";
import { RedisCoherence, type CoherenceSettings } from "./coherence.ts";
import { fault, isWrongType, type Origin } from "../primitives/faults.ts";
import { Further, type Command, type CommandQueue, type RawClient } from "../connection/command-queue.ts";
import { decodeEntry, encodeEntry, writeIdOf, type EntryFields, type WriteIds } from "./entry-fields.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { RedisLeases, type EntryCommand } from "./leases.ts";
import { closedLink, type Link } from "../connection/link.ts";
import { MARK_STALE, REMOVE, WRITE } from "../lua/entry-scripts.ts";
import type { Announcement, Script } from "../lua/script.ts";
import { NOTHING_STAGED, stage } from "./staged-entry.ts";
import { RedisTagVersions } from "./tag-versions.ts";

export interface BackendSettings {
  readonly label: string;
  readonly format: Format;
  readonly compressor: Compressor;
  readonly alsoReads: readonly (Format | Compressor)[];
  readonly seal?: Seal | undefined;
  /** @default '' */
  readonly sealScope?: string;
  readonly maxEntryBytes: number;
  readonly maxDecodedBytes: number;
  readonly responseTimeoutMs: number;
  readonly keys: RedisKeys;
  readonly layout: "full" | "plain";
  readonly leaseMs: number;
  readonly breaker?: BreakerPolicy | undefined;
  readonly writeIds: WriteIds;
  /** Epoch milliseconds: for the field `s`, and for entries that have nothing else. */
  readonly epochMs: () => number;
  /** Read at each write. @default no announcements */
  readonly announce?: Announcement;
  /** `undefined` receives no changes. */
  readonly coherence?: Omit<CoherenceSettings, "label" | "keys" | "readTags"> | undefined;
}

/** How a command is sent. */
interface Sending {
  /**
   * The script that the command names by its hash. It is sent as text where the server does not know it: after a
   * restart, or SCRIPT FLUSH.
   */
  readonly script?: Script | undefined;
  /** Sent just before it, in the same trip. */
  readonly before?: readonly (string | Buffer)[][];
  /** @default that of the backend */
  readonly link?: Link;
}

type Operation =
  | "read"
  | "write"
  | "remove"
  | "markStale"
  | "ping"
  | "tags"
  | "acquire"
  | "renew"
  | "store"
  | "release"
  | "confirm";

const NO_ANNOUNCEMENT: Announcement = Object.freeze({ channel: "", sender: "" });

/**
 * Entries in Redis. A read is two plain commands in one tick. Each change of an entry is one script, over the entry and
 * its lease.
 */
export class HashBackend implements Backend {
  readonly label: string;
  readonly format: Format;
  readonly compressor: Compressor;
  readonly alsoReads: readonly (Format | Compressor)[];
  readonly seal?: Seal;
  readonly sealScope: string;
  readonly deadlineMs: number;
  /** Each call is one {@link Command}, however many it sends. */
  readonly boundsCalls = true;
  readonly breaker?: BreakerPolicy;
  readonly maxEntryBytes: number;
  readonly maxDecodedBytes: number;
  readonly batch: Batch;
  readonly parts?: Parts;
  readonly keepsMeta: boolean;
  readonly leases: Leases;
  readonly tagVersions?: TagVersions;
  /** For hashed keys, which cannot be decoded. */
  readonly alias?: (key: string) => string;
  readonly coherence?: RedisCoherence;
  readonly readsLag?: boolean;
  readonly keepsKeys: boolean;
  #link: Link;
  readonly #release: () => Promise<void>;
  readonly #settings: BackendSettings;
  readonly #keys: RedisKeys;
  readonly #announce: Announcement;
  readonly #origins: Readonly<Record<Operation, Origin>>;

  constructor(hold: { readonly link: Link; release(): Promise<void> }, settings: BackendSettings) {
    this.label = settings.label;
    this.format = settings.format;
    this.compressor = settings.compressor;
    this.alsoReads = settings.alsoReads;
    if (settings.seal !== undefined) this.seal = settings.seal;
    this.sealScope = settings.sealScope ?? "";
    this.deadlineMs = settings.responseTimeoutMs;
    if (settings.breaker !== undefined) this.breaker = settings.breaker;
    this.maxEntryBytes = settings.maxEntryBytes;
    this.maxDecodedBytes = settings.maxDecodedBytes;
    this.#link = hold.link;
    this.#release = hold.release;
    this.#settings = settings;
    this.#keys = settings.keys;
    if (settings.coherence !== undefined)
      this.coherence = new RedisCoherence(hold.link, {
        ...settings.coherence,
        label: settings.label,
        keys: settings.keys,
        readTags: (args) => this.#send(this.#origins.tags, args, asIs),
      });
    else if (hold.link.readsFromReplicas === true) this.readsLag = true;
    this.#announce = settings.announce ?? this.coherence?.announcement ?? NO_ANNOUNCEMENT;
    const origin = (operation: Operation): Origin => Object.freeze({ tier: settings.label, operation });
    this.#origins = {
      read: origin("read"),
      write: origin("write"),
      remove: origin("remove"),
      markStale: origin("markStale"),
      ping: origin("ping"),
      tags: origin("tags"),
      acquire: origin("acquire"),
      renew: origin("renew"),
      store: origin("store"),
      release: origin("release"),
      confirm: origin("confirm"),
    };
    this.leases = new RedisLeases(
      (operation, script, key, args, interpret) => this.#script(operation, script, key, args, interpret),
      (command, key, interpret) => this.#confirm(command, key, interpret),
      settings,
    );
    if (settings.keys.isHashed) this.alias = (key) => settings.keys.alias(key);
    this.keepsKeys = settings.keys.isBare;
    this.keepsMeta = settings.layout === "full";
    if (this.keepsMeta)
      this.tagVersions = new RedisTagVersions(
        (args, script) => this.#sendTagCommand(args, script),
        settings.keys,
        settings.writeIds,
        this.#announce,
      );
    const { parts } = hold.link;
    if (parts !== undefined) this.parts = { names: () => parts.names(), of: (key) => this.#partOf(parts, key) };
    this.batch = { read: (keys) => this.#readMany(keys) };
  }

  #partOf(parts: Parts, key: string): string {
    try {
      return parts.of(this.#keys.entry(key));
    } catch {
      // The call itself is refused, with the reason.
      return "";
    }
  }

  read(key: string): Promise<StoredEntry | undefined> {
    let entryKey: string;
    try {
      entryKey = this.#keys.entry(key);
    } catch (error) {
      return Promise.reject(error);
    }
    const { queue } = this.#link;
    const command = queue.begin<StoredEntry | undefined>(this.#origins.read);
    const { client } = queue;
    if (client === undefined || queue.inFlight >= queue.maxInFlight) {
      this.#link.admit(command, (ready) =>
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
    return command.promise;
  }

  write(key: string, entry: StoredEntry): Promise<void> {
    const { layout, epochMs, writeIds } = this.#settings;
    try {
      const args = encodeEntry(entry, layout, epochMs(), writeIdOf(entry, writeIds));
      return args === undefined
        ? this.#script("remove", REMOVE, key, [], nothing)
        : this.#script("write", WRITE, key, args, nothing);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  remove(key: string): Promise<DeleteStatus> {
    return this.#script("remove", REMOVE, key, [], (count) => (count === 1 ? "deleted" : "missing"));
  }

  markStale(key: string): Promise<"stale" | "missing"> {
    return this.#script("markStale", MARK_STALE, key, [], (count) => (count === 1 ? "stale" : "missing"));
  }

  get coherenceMode(): "tracking" | "pubsub" | undefined {
    return this.coherence?.mode;
  }

  /** Round-trip time in milliseconds. @throws {BackendUnavailableError} */
  async ping(): Promise<number> {
    const startedAt = performance.now();
    await this.#send(this.#origins.ping, ["PING"], nothing);
    return performance.now() - startedAt;
  }

  connect(): Promise<void> {
    return this.#link.connect();
  }

  async close(): Promise<void> {
    this.#link = closedLink;
    await this.coherence?.close();
    await this.#release();
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
      command.fail(this.#fault(command.origin, error));
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
        else ttl.then(() => decode(reply), nothing);
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

  #script<T>(
    operation: Operation,
    script: Script,
    key: string,
    args: readonly (string | Buffer)[],
    interpret: (reply: unknown) => T | Further,
  ): Promise<T> {
    let entryKey: string;
    try {
      entryKey = this.#keys.entry(key);
    } catch (error) {
      return Promise.reject(error);
    }
    const { channel, sender } = this.#announce;
    const keys = [entryKey, this.#keys.lease(entryKey)];
    const command = (given: readonly (string | Buffer)[], over: readonly string[]): (string | Buffer)[] => [
      "EVALSHA",
      script.sha,
      String(over.length),
      ...over,
      ...given,
      channel,
      sender,
    ];
    const staged = stage(args, () => this.#keys.staged(entryKey, this.#settings.writeIds()));
    const again = (reply: unknown): T | Further => {
      if (staged !== undefined && reply === NOTHING_STAGED) return new Further(command(args, keys));
      const result = interpret(reply);
      return result instanceof Further ? new Further(command(result.args, keys)) : result;
    };
    if (staged === undefined) return this.#send(this.#origins[operation], command(args, keys), again, { script });
    const { commands: before } = staged;
    return this.#send(this.#origins[operation], command(staged.args, [...keys, staged.key]), again, { script, before });
  }

  #sendTagCommand(args: (string | Buffer)[], script: Script | undefined): Promise<unknown> {
    this.coherence?.noteTagsInUse(args);
    return this.#send(this.#origins.tags, args, asIs, { script });
  }

  /** Sends a question. Once it is answered, every change acknowledged before it, to any client, has been received. */
  #confirm<T>(command: EntryCommand, key: string, interpret: (reply: unknown) => T | Further): Promise<T> {
    const entryKey = this.#keys.entry(key);
    const over = ([name, ...more]: Further["args"]): (string | Buffer)[] => [name!, entryKey, ...more];
    const again = (reply: unknown): T | Further => {
      const result = interpret(reply);
      return result instanceof Further ? new Further(over(result.args)) : result;
    };
    const mode = this.coherence?.mode;
    const isTracking = mode === "tracking" && this.coherence!.hasListeners;
    const link = isTracking ? (this.#link.changesLink ?? this.#link) : this.#link;
    const reply = this.#send(this.#origins.confirm, over(command), again, { link });
    if (mode !== "pubsub") return reply;
    const both = this.#link.queue.begin<T>(this.#origins.confirm);
    both.sent(0);
    Promise.all([reply, this.coherence!.settled(this.parts?.of(key))]).then(
      ([answer]) => both.done(answer),
      (error: unknown) => both.fail(error),
    );
    return both.promise;
  }

  /** One command, or one that others go before: they settle as one. */
  #send<T>(
    origin: Origin,
    args: (string | Buffer)[],
    interpret: (reply: unknown) => T | Further,
    { script, before = NO_COMMANDS, link = this.#link }: Sending = {},
  ): Promise<T> {
    const { queue } = link;
    const command = queue.begin<T>(origin);
    const replied = (): void => queue.replied();
    const send = (client: RawClient): void => {
      command.sent(before.length + 1);
      // The reply of the last one shows whether they took effect.
      for (const one of before) client.sendCommand(one).then(replied, replied);
      before = NO_COMMANDS;
      client.sendCommand(args).then(
        (reply) => {
          queue.replied();
          let result: T | Further;
          try {
            result = interpret(reply);
          } catch (thrown) {
            return command.fail(thrown);
          }
          if (!(result instanceof Further)) return command.done(result);
          args = [...result.args];
          start();
        },
        (error: unknown) => {
          queue.replied();
          if (args[0] === "EVALSHA" && isNoScript(error) && queue.client !== undefined) {
            args = ["EVAL", script!.text, ...args.slice(2)];
            send(queue.client);
          } else {
            command.fail(this.#fault(origin, error));
          }
        },
      );
    };
    const start = (): void => {
      if (command.isOver) return;
      if (queue.hasRoom) send(queue.client!);
      else link.admit(command, send);
    };
    start();
    return command.promise;
  }

  /** Many reads in one trip, as far as there is room. A failed read is a miss, as long as another one was answered. */
  #readMany(keys: readonly string[]): Promise<BatchAnswer> {
    if (keys.length === 0) return Promise.resolve([]);
    const { queue } = this.#link;
    if (queue.client !== undefined && queue.inFlight + 2 * keys.length <= queue.maxInFlight)
      return this.#readTogether(queue.client, keys);
    return readInParts(keys, queue, this.#origins.read, (key) => this.read(key));
  }

  #readTogether(client: RawClient, keys: readonly string[]): Promise<BatchAnswer> {
    let entryKeys: readonly string[];
    try {
      entryKeys = keys.map((key) => this.#keys.entry(key));
    } catch (error) {
      return Promise.reject(error);
    }
    const { epochMs, layout } = this.#settings;
    return readTogether(entryKeys, {
      queue: this.#link.queue,
      client,
      origin: this.#origins.read,
      decode: (fields, ttlMs) => decodeEntry(fields, ttlMs, epochMs, layout),
      fault: (error) => this.#fault(this.#origins.read, error),
    });
  }

  #fault(origin: Origin, error: unknown): unknown {
    if (error instanceof Error && error.message.startsWith("READONLY")) this.#link.leaveReplica(error);
    return fault(origin, error);
  }
}

const isNoScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");

const NO_COMMANDS: readonly (string | Buffer)[][] = [];
const nothing = (): void => undefined;
const asIs = (reply: unknown): unknown => reply;
