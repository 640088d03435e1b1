import {
  keepAlive,
  type Backend,
  type Batch,
  type BreakerPolicy,
  type Compressor,
  type DeleteStatus,
  type Format,
  type Leases,
  type Parts,
  type StoredEntry,
  type TagVersions,
} from "@hotset/core";
import type { BatchAnswer, BatchCall } from "./batch-read.ts";
import { RedisCoherence, type CoherenceSettings, type OwnChange } from "./coherence.ts";
import { text } from "../primitives/option-checks.ts";
import { Command, Further } from "../connection/command-queue.ts";
import type { WriteIds } from "./entry-fields.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { OverBoth, type EntryCommand, type LeaseCommands, type PlainCommands } from "./leases.ts";
import { closedLink, type Link } from "../connection/link.ts";
import type { Announcement, Script } from "../lua/script.ts";
import { Sender, type Operation } from "./sender.ts";
import { NOTHING_STAGED, type StagedEntry } from "./staged-entry.ts";
import { isPlaceholder, MARK_BYTES } from "./string-entry.ts";
import { RedisTagVersions } from "./tag-versions.ts";
import type { Origin } from "../primitives/faults.ts";
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
  readonly coherence?: Omit<CoherenceSettings, "label" | "keys" | "readTags"> | undefined;
}

/** A link, shared with others perhaps. */
export interface BackendHold {
  readonly link: Link;
  release(): Promise<void>;
}

/** The content of the key of an entry. */
export interface KeyContent {
  /** The key in Redis. */
  readonly key: string;
  /** The type of the key, as Redis names it; `none` where there is no key. */
  readonly type: string;
  /** Whether it is the placeholder of a missing entry that is being loaded. */
  readonly isPlaceholder: boolean;
}

/** The content of the key of an entry: `unknown` where the look at it was refused, for want of memory say. */
export type Found = "entry" | "placeholder" | "nothing" | "unknown";

/** How a layout looks whether there is an entry to remove. */
export interface Removal {
  /** A command that Redis counts as no read, so that it remembers no key. Without the key, which is its second word. */
  readonly look: readonly [name: string, ...more: string[]];
  readonly was: (reply: unknown) => Found;
  /** Does the same in one step. */
  readonly script: Script;
}

const NO_ANNOUNCEMENT: Announcement = Object.freeze({ channel: "", sender: "" });

/** What all layouts share: how a backend is described, connected and closed, and how it sends commands and scripts. */
export abstract class EntryBackend extends Sender implements Backend {
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
  protected readonly leaseCommands: LeaseCommands;
  protected readonly keys: RedisKeys;
  protected readonly announce: Announcement;
  readonly #release: () => Promise<void>;
  readonly #settings: BackendSettings;

  constructor(hold: BackendHold, settings: BackendSettings) {
    super(settings.label, hold.link);
    this.label = settings.label;
    this.format = settings.format;
    this.compressor = settings.compressor;
    this.alsoReads = settings.alsoReads;
    this.sealScope = settings.sealScope ?? "";
    this.deadlineMs = settings.responseTimeoutMs;
    if (settings.breaker !== undefined) this.breaker = settings.breaker;
    this.maxEntryBytes = settings.maxEntryBytes;
    this.maxDecodedBytes = settings.maxDecodedBytes;
    this.#release = hold.release;
    this.#settings = settings;
    this.keys = settings.keys;
    if (settings.coherence !== undefined)
      this.coherence = new RedisCoherence(hold.link, {
        ...settings.coherence,
        label: settings.label,
        keys: settings.keys,
        readTags: (args) => this.send(this.origins.tags, args, asIs),
      });
    else if (hold.link.readsFromReplicas === true) this.readsLag = true;
    this.announce = settings.announce ?? this.coherence?.announcement ?? NO_ANNOUNCEMENT;
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
    this.leaseCommands = {
      run: (...given) => this.script(...given),
      confirm: (...asked) => this.#confirm(...asked),
      runPlain: (plain) => this.runPlain(plain),
      counted: (...given) => this.#counted(...given),
      mayPlace: () => this.#mayPlace(),
      now: () => this.link.queue.clock.now(),
    };
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

  /** How a large value reaches its script. `undefined` for arguments without a value, or with a small one. */
  protected abstract stage(args: readonly (string | Buffer)[], key: () => string): StagedEntry | undefined;

  /** Sends each command that a read takes. */
  protected async mayRead(key: string): Promise<void> {
    await this.#sendTagCommand(["MGET", this.keys.entry(key)], undefined);
    await this.read(key);
  }

  protected override fault(origin: Origin, error: unknown): unknown {
    const failure = super.fault(origin, error);
    const message = error instanceof Error ? error.message : "";
    // A user that may not write is refused pins of tags, and receives all changes of what it reads.
    const command = /^NOPERM .* '(.*)' command/i.exec(message)?.[1];
    if (command !== undefined && (origin === this.origins.read || (origin === this.origins.tags && command === "mget")))
      this.coherence?.forbidden(failure, () => this.mayRead("rights"));
    return failure;
  }

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
    await keepAlive(this.link.queue.clock, this.send(this.origins.ping, ["PING"], ignore));
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
    return keepAlive(this.link.queue.clock, this.link.connect());
  }

  close(): Promise<void> {
    const { clock } = this.link.queue;
    this.link = closedLink;
    return keepAlive(clock, this.#close());
  }

  async #close(): Promise<void> {
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

  /** Runs a script over an entry, and its lease unless it is of an entry alone. */
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
    const lease = this.keys.lease(entryKey);
    // Without a prefix scripts know by the lease that they must spare keys of other programs.
    const isOverEntry = script.isOfEntry === true && !this.keys.isBare;
    const keys = isOverEntry ? [entryKey] : [entryKey, lease];
    if (operation === "release") keys.push(this.keys.freed(entryKey));
    const command = (given: readonly (string | Buffer)[], over: readonly string[]): (string | Buffer)[] =>
      this.scriptCommand(script, over, given);
    const staged = this.stage(args, () => this.keys.staged(entryKey, this.#settings.writeIds()));
    const first = isOverEntry && script.endsLease === true ? [["DEL", lease]] : undefined;
    if (staged !== undefined && isOverEntry) keys.push(lease);
    const again = (reply: unknown): T | Further => {
      if (staged !== undefined && reply === NOTHING_STAGED) return new Further(command(args, keys));
      const result = interpret(reply);
      if (!(result instanceof Further)) return result;
      return new Further(command(result.args, result instanceof OverBoth ? [entryKey, lease] : keys));
    };
    if (staged === undefined) {
      return this.send(this.origins[operation], command(args, keys), again, { script, before: first });
    }
    const { commands: before } = staged;
    return this.send(this.origins[operation], command(staged.args, [...keys, staged.key]), again, { script, before });
  }

  /**
   * Removes an entry, its lease and a placeholder by two commands in one trip. Where there was no entry, the script
   * reports the change in a second one: to the holder of a lease, and to processes that keep a value which Redis
   * refused to store.
   */
  protected removed(key: string, { look, was, script }: Removal): Promise<DeleteStatus> {
    const status = (isDeleted: boolean): DeleteStatus => (isDeleted ? "deleted" : "missing");
    if (this.keys.isBare || this.announce.channel !== "")
      return this.script("remove", script, key, [], (count) => status(count === 1));
    return this.at(key, (entryKey) => {
      const keys = [entryKey, this.keys.lease(entryKey)];
      const [name, ...more] = look;
      let found: Found = "nothing";
      let byScript = false;
      const interpret = (count: unknown): DeleteStatus | Further => {
        if (byScript) return status(count === 1);
        if (found === "nothing" && count !== 2) {
          byScript = true;
          return new Further(this.scriptCommand(script, keys, []));
        }
        return status(found === "entry" || (found !== "placeholder" && count !== 0));
      };
      return this.send(this.origins.remove, ["DEL", ...keys], interpret, {
        script,
        before: [[name, entryKey, ...more]],
        onBefore: (reply) => {
          found = was(reply);
        },
      });
    });
  }

  /** Whether a write ends the lease by a command of its own: where versions are compared, and nothing is announced. */
  protected get isPlain(): boolean {
    return this.keepsMeta && this.announce.channel === "" && !this.keys.isBare;
  }

  protected runPlain<T>(plain: PlainCommands<T>): Promise<T> {
    return this.at(plain.key, (entryKey) => this.#runPlain(entryKey, plain));
  }

  /** Sends plain commands; where their replies settle nothing, the script, within the same deadline. */
  #runPlain<T>(entryKey: string, plain: PlainCommands<T>): Promise<T> {
    const { operation, script, args, interpret } = plain;
    const lease = this.keys.lease(entryKey);
    const byScript = (given: readonly (string | Buffer)[]): Further =>
      new Further(this.scriptCommand(script, [entryKey, lease], given));
    const replies: unknown[] = [];
    let isPlain = true;
    const next = (reply: unknown): T | Further => {
      if (isPlain) {
        isPlain = false;
        replies.push(reply);
        const settled = plain.settled(replies);
        return settled instanceof Further ? byScript(settled.args) : settled;
      }
      const result = interpret(reply);
      return result instanceof Further ? byScript(result.args) : result;
    };
    const [last, ...more] = plain.last;
    return this.send(this.origins[operation], [last, entryKey, ...more], next, {
      script,
      before: plain.before.map(([over, [name, ...rest]]) => [name, over === "lease" ? lease : entryKey, ...rest]),
      onBefore: (reply) => replies.push(reply),
      onWrongType: () => {
        isPlain = false;
        return byScript(args);
      },
    });
  }

  /**
   * Not where keys are those of other programs: to their commands for hashes a placeholder is a key of another type.
   * Nor where another connection is pushed every change of a key: there an own one is not known from that of another
   * process, and would end joining.
   */
  #mayPlace(): boolean {
    return !this.keys.isBare && !(this.coherence?.mode === "tracking" && this.link.changesLink !== undefined);
  }

  /** An own change under a lease: by the reports of its key until it is answered the cache knows of any other. */
  #counted<T>(key: string, change: () => Promise<T>, done: (result: T) => OwnChange | undefined): Promise<T> {
    const reports = this.coherence?.countReports(key);
    const call = change();
    if (reports !== undefined && call instanceof Command)
      (call as Command<T>).whenOver((result) => reports.end(result && done(result.value)));
    else reports?.end(undefined);
    return call;
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
  #confirm<T>(
    command: EntryCommand,
    key: string,
    interpret: (reply: unknown) => T | Further,
    onWrongType?: () => Further | undefined,
  ): Promise<T> {
    const mode = this.coherence?.mode;
    const isTracking = mode === "tracking" && this.coherence!.hasListeners;
    const link = isTracking ? (this.link.changesLink ?? this.link) : this.link;
    const reply = this.at(key, (entryKey) => {
      const over = (given: Further["args"]): (string | Buffer)[] => given.toSpliced(1, 0, entryKey);
      const again = (given: unknown): T | Further => {
        const result = interpret(given);
        return result instanceof Further ? new Further(over(result.args)) : result;
      };
      const sending = onWrongType && {
        onWrongType: () => {
          const further = onWrongType();
          return further && new Further(over(further.args));
        },
      };
      return this.send(this.origins.confirm, over(command), again, { link, ...sending });
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
}

const asIs = (reply: unknown): unknown => reply;
