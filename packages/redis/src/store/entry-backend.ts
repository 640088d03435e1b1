import type {
  Backend,
  Batch,
  BreakerPolicy,
  Compressor,
  DeleteStatus,
  Format,
  Leases,
  Parts,
  StoredEntry,
  TagVersions,
} from "@hotset/core";
import type { BatchAnswer, BatchCall } from "./batch-read.ts";
import { RedisCoherence, type CoherenceSettings } from "./coherence.ts";
import { fault, isWrongType, type Origin } from "../primitives/faults.ts";
import { text } from "../primitives/option-checks.ts";
import { Further, type Command, type CommandQueue, type RawClient } from "../connection/command-queue.ts";
import type { WriteIds } from "./entry-fields.ts";
import type { RedisKeys } from "./redis-keys.ts";
import type { EntryCommand } from "./leases.ts";
import { closedLink, type Link } from "../connection/link.ts";
import type { Announcement, Script } from "../lua/script.ts";
import { NOTHING_STAGED, type StagedEntry } from "./staged-entry.ts";
import { isPlaceholder, MARK_BYTES } from "./string-entry.ts";
import { RedisTagVersions } from "./tag-versions.ts";
import { ignore } from "../primitives/ignore.ts";

export interface BackendSettings {
  readonly label: string;
  readonly format: Format;
  readonly compressor: Compressor;
  readonly alsoReads: readonly (Format | Compressor)[];
  /** @default '' */
  readonly sealScope?: string;
  readonly maxEntryBytes: number;
  readonly maxDecodedBytes: number;
  readonly responseTimeoutMs: number;
  readonly keys: RedisKeys;
  readonly layout: "full" | "plain" | "string";
  readonly leaseMs: number;
  readonly breaker?: BreakerPolicy | undefined;
  readonly writeIds: WriteIds;
  /** Epoch milliseconds: of the field `s`, and for entries that have nothing else. */
  readonly epochMs: () => number;
  /** Read at each write. @default no announcements */
  readonly announce?: Announcement;
  /** `undefined` receives no changes. */
  readonly coherence?: Omit<CoherenceSettings, "label" | "keys" | "storesByScript" | "readTags"> | undefined;
}

/** A link, shared with others perhaps. */
export interface BackendHold {
  readonly link: Link;
  release(): Promise<void>;
}

/** How a command is sent. */
export interface Sending {
  /**
   * The script that the command names by its hash. It is sent as text where the server does not know it: after a
   * restart, or SCRIPT FLUSH.
   */
  readonly script?: Script | undefined;
  /** Sent just before it, in the same trip. */
  readonly before?: readonly (string | Buffer)[][];
  /** Receives each of their replies; an `Error` where it was refused. */
  readonly onBefore?: (reply: unknown) => void;
  /** Goes on where a key is of another type. @default that is an error */
  readonly onWrongType?: () => Further;
  /** @default that of the backend */
  readonly link?: Link;
}

/** A call that is sent. */
interface Sent<T> {
  readonly command: Command<T>;
  readonly link: Link;
  args: readonly (string | Buffer)[];
  readonly interpret: (reply: unknown) => T | Further;
  readonly sending: Sending;
}

export type Operation =
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

/** What is in the key of an entry. */
export interface KeyContent {
  /** The key in Redis. */
  readonly key: string;
  /** The type of the key, as Redis names it; `none` where there is no key. */
  readonly type: string;
  /** Whether it is the placeholder of a missing entry that is being loaded. */
  readonly isPlaceholder: boolean;
}

const NO_ANNOUNCEMENT: Announcement = Object.freeze({ channel: "", sender: "" });

/** What all layouts share: how a backend is described, connected and closed, and how it sends commands and scripts. */
export abstract class EntryBackend implements Backend {
  readonly label: string;
  readonly format: Format;
  readonly compressor: Compressor;
  readonly alsoReads: readonly (Format | Compressor)[];
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
  abstract readonly leases: Leases;
  readonly tagVersions?: TagVersions;
  readonly coherence?: RedisCoherence;
  readonly readsLag?: boolean;
  readonly keepsKeys: boolean;
  protected link: Link;
  protected readonly keys: RedisKeys;
  protected readonly announce: Announcement;
  protected readonly origins: Readonly<Record<Operation, Origin>>;
  readonly #release: () => Promise<void>;
  readonly #settings: BackendSettings;

  constructor(hold: BackendHold, settings: BackendSettings) {
    this.label = settings.label;
    this.format = settings.format;
    this.compressor = settings.compressor;
    this.alsoReads = settings.alsoReads;
    this.sealScope = settings.sealScope ?? "";
    this.deadlineMs = settings.responseTimeoutMs;
    if (settings.breaker !== undefined) this.breaker = settings.breaker;
    this.maxEntryBytes = settings.maxEntryBytes;
    this.maxDecodedBytes = settings.maxDecodedBytes;
    this.link = hold.link;
    this.#release = hold.release;
    this.#settings = settings;
    this.keys = settings.keys;
    if (settings.coherence !== undefined)
      this.coherence = new RedisCoherence(hold.link, {
        ...settings.coherence,
        label: settings.label,
        keys: settings.keys,
        storesByScript: (entryKey) => this.storesByScript(entryKey),
        readTags: (args) => this.send(this.origins.tags, args, asIs),
      });
    else if (hold.link.readsFromReplicas === true) this.readsLag = true;
    this.announce = settings.announce ?? this.coherence?.announcement ?? NO_ANNOUNCEMENT;
    const origin = (operation: Operation): Origin => Object.freeze({ tier: settings.label, operation });
    this.origins = {
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
    this.keepsKeys = settings.keys.isBare;
    this.keepsMeta = settings.layout !== "plain";
    if (this.keepsMeta)
      this.tagVersions = new RedisTagVersions(
        (args, script) => this.#sendTagCommand(args, script),
        settings.keys,
        settings.writeIds,
        this.announce,
      );
    const { parts } = hold.link;
    if (parts !== undefined) this.parts = { names: () => parts.names(), of: (key) => this.#partOf(parts, key) };
    this.batch = { read: (keys) => this.readMany(keys) };
  }

  #partOf(parts: Parts, key: string): string {
    try {
      return parts.of(this.keys.entry(key));
    } catch {
      // The call itself is refused, with the reason.
      return "";
    }
  }

  abstract read(key: string): Promise<StoredEntry | undefined>;
  abstract write(key: string, entry: StoredEntry): Promise<void>;
  abstract remove(key: string): Promise<DeleteStatus>;
  abstract markStale(key: string): Promise<"stale" | "missing">;
  /** Many reads in one trip, as far as there is room. A failed read is a miss, as long as another one was answered. */
  protected abstract readMany(keys: readonly string[]): Promise<BatchAnswer>;
  /** For reads of many keys. Replicas answer for keys in turn, so then nothing is known before a read is sent. */
  protected batchOf(keys: readonly string[]): BatchCall {
    const { queue, readsFromReplicas } = this.link;
    const parts = readsFromReplicas === true ? undefined : this.parts;
    return { queue, origin: this.origins.read, serverOf: (i) => parts?.of(keys[i]!) };
  }

  protected storesByScript(_entryKey: string): boolean {
    return true;
  }

  /** How a large value reaches its script. `undefined` for arguments without a value, or with a small one. */
  protected abstract stage(args: readonly (string | Buffer)[], key: () => string): StagedEntry | undefined;

  /** For loggers: a connection refers to itself. */
  toJSON(): { readonly label: string } {
    return { label: this.label };
  }

  get coherenceMode(): "tracking" | "pubsub" | undefined {
    return this.coherence?.mode;
  }

  /** Round-trip time in milliseconds. @throws {BackendUnavailableError} */
  async ping(): Promise<number> {
    const startedAt = performance.now();
    await this.send(this.origins.ping, ["PING"], ignore);
    return performance.now() - startedAt;
  }

  async peek(key: string): Promise<KeyContent> {
    const entryKey = this.keys.entry(text("peek(key): key", key));
    let head: Buffer | undefined;
    const interpret = (type: unknown): KeyContent => ({
      key: entryKey,
      type: String(type),
      isPlaceholder: head !== undefined && isPlaceholder(head),
    });
    return this.send(this.origins.read, ["TYPE", entryKey], interpret, {
      // An error where the key holds another type.
      before: [["GETRANGE", entryKey, "0", String(MARK_BYTES - 1)]],
      onBefore: (start) => {
        if (!(start instanceof Error)) head = start as Buffer;
      },
    });
  }

  connect(): Promise<void> {
    return this.link.connect();
  }

  async close(): Promise<void> {
    this.link = closedLink;
    await this.coherence?.close();
    await this.#release();
  }

  /** Goes on with the key in Redis. One that is refused rejects the call. */
  protected at<T>(key: string, goOn: (entryKey: string) => Promise<T>): Promise<T> {
    let entryKey: string;
    try {
      entryKey = this.keys.entry(key);
    } catch (error) {
      return Promise.reject(error);
    }
    return goOn(entryKey);
  }

  /** Runs a script over an entry and its lease. */
  protected script<T>(
    operation: Operation,
    script: Script,
    key: string,
    args: readonly (string | Buffer)[],
    interpret: (reply: unknown) => T | Further,
  ): Promise<T> {
    return this.at(key, (entryKey) => this.#scriptAt(operation, script, entryKey, args, interpret));
  }

  #scriptAt<T>(
    operation: Operation,
    script: Script,
    entryKey: string,
    args: readonly (string | Buffer)[],
    interpret: (reply: unknown) => T | Further,
  ): Promise<T> {
    const keys = [entryKey, this.keys.lease(entryKey)];
    if (operation === "release") keys.push(this.keys.freed(entryKey));
    const command = (given: readonly (string | Buffer)[], over: readonly string[]): (string | Buffer)[] =>
      this.scriptCommand(script, over, given);
    const staged = this.stage(args, () => this.keys.staged(entryKey, this.#settings.writeIds()));
    const again = (reply: unknown): T | Further => {
      if (staged !== undefined && reply === NOTHING_STAGED) return new Further(command(args, keys));
      const result = interpret(reply);
      return result instanceof Further ? new Further(command(result.args, keys)) : result;
    };
    if (staged === undefined) return this.send(this.origins[operation], command(args, keys), again, { script });
    const { commands: before } = staged;
    return this.send(this.origins[operation], command(staged.args, [...keys, staged.key]), again, { script, before });
  }

  /** Name and arguments of the command that runs a script. */
  protected scriptCommand(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
  ): (string | Buffer)[] {
    const { channel, sender } = this.announce;
    // At its size at once: spread, it would grow twice on the way.
    const command: (string | Buffer)[] = ["EVALSHA", script.sha, String(keys.length)];
    return command.concat(keys, args, [channel, sender]);
  }

  #sendTagCommand(args: (string | Buffer)[], script: Script | undefined): Promise<unknown> {
    this.coherence?.noteTagsInUse(args);
    return this.send(this.origins.tags, args, asIs, { script });
  }

  /** Sends a question. Once it is answered, every change acknowledged before it, to any client, has been received. */
  protected confirm<T>(command: EntryCommand, key: string, interpret: (reply: unknown) => T | Further): Promise<T> {
    const mode = this.coherence?.mode;
    const isTracking = mode === "tracking" && this.coherence!.hasListeners;
    const link = isTracking ? (this.link.changesLink ?? this.link) : this.link;
    const reply = this.at(key, (entryKey) => {
      const over = (given: Further["args"]): (string | Buffer)[] => given.toSpliced(1, 0, entryKey);
      const again = (given: unknown): T | Further => {
        const result = interpret(given);
        return result instanceof Further ? new Further(over(result.args)) : result;
      };
      return this.send(this.origins.confirm, over(command), again, { link });
    });
    if (mode !== "pubsub") return reply;
    const both = this.link.queue.begin<T>(this.origins.confirm);
    both.sent(0);
    Promise.all([reply, this.coherence!.settled(this.parts?.of(key))]).then(
      ([answer]) => both.done(answer),
      (error: unknown) => both.fail(error),
    );
    return both.promise;
  }

  /**
   * A read, which `send` sends as soon as there is room.
   *
   * @param send gets the queue that it is sent by: once the backend is closed it has another link.
   */
  protected begin<T>(send: (client: RawClient, command: Command<T>, queue: CommandQueue) => void): Promise<T> {
    const { queue } = this.link;
    const command = queue.begin<T>(this.origins.read);
    if (queue.hasRoom) send(queue.client!, command, queue);
    else this.link.admit(command, (client) => send(client, command, queue));
    return command.promise;
  }

  /** One command, or one that others go before: they settle as one. */
  protected send<T>(
    origin: Origin,
    args: (string | Buffer)[],
    interpret: (reply: unknown) => T | Further,
    sending: Sending = NOTHING_MORE,
  ): Promise<T> {
    const link = sending.link ?? this.link;
    const call: Sent<T> = { command: link.queue.begin<T>(origin), link, args, interpret, sending };
    this.#start(call, sending.before);
    return call.command.promise;
  }

  /** @param before sent just before it; not again where the command goes on with another one. */
  #start<T>(call: Sent<T>, before: Sending["before"]): void {
    const { command, link } = call;
    if (command.isOver) return;
    const { queue } = link;
    if (queue.hasRoom) this.#transmit(call, before, queue.client!);
    else link.admit(command, (client) => this.#transmit(call, before, client));
  }

  #transmit<T>(call: Sent<T>, before: Sending["before"], client: RawClient): void {
    const { command, link, sending } = call;
    const { queue } = link;
    if (before !== undefined) {
      const replied = (reply: unknown): void => {
        queue.replied();
        sending.onBefore?.(reply);
      };
      // The reply of the last one shows whether they took effect.
      for (const one of before) client.sendCommand(one).then(replied, replied);
    }
    const answer = client.sendCommand(call.args);
    command.sent((before?.length ?? 0) + 1);
    answer.then(
      (reply) => {
        queue.replied();
        let result: T | Further;
        try {
          result = call.interpret(reply);
        } catch (thrown) {
          return command.fail(thrown);
        }
        if (result instanceof Further) this.#goOn(call, result);
        else command.done(result);
      },
      (error: unknown) => {
        queue.replied();
        this.#refused(call, error);
      },
    );
  }

  #goOn<T>(call: Sent<T>, { args }: Further): void {
    call.args = [...args];
    this.#start(call, undefined);
  }

  #refused<T>(call: Sent<T>, error: unknown): void {
    const { command, args, link, sending } = call;
    const { client } = link.queue;
    if (args[0] === "EVALSHA" && isNoScript(error) && client !== undefined) {
      call.args = ["EVAL", sending.script!.text, ...args.slice(2)];
      this.#transmit(call, undefined, client);
    } else if (sending.onWrongType !== undefined && isWrongType(error)) {
      this.#goOn(call, sending.onWrongType());
    } else {
      command.fail(this.fault(command.origin, error));
    }
  }

  protected fault(origin: Origin, error: unknown): unknown {
    if (error instanceof Error && error.message.startsWith("READONLY")) this.link.leaveReplica(error);
    return fault(origin, error);
  }
}

const isNoScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");

const NOTHING_MORE: Sending = Object.freeze({});
const asIs = (reply: unknown): unknown => reply;
