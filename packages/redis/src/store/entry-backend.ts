import type {
  Backend,
  Batch,
  BreakerPolicy,
  Compressor,
  DeleteStatus,
  Format,
  Leases,
  Parts,
  StoredAnswer,
  StoredEntry,
  TagVersions,
} from "@hotset/core";
import { keepAlive, readOption, text } from "@hotset/core/internal";
import { Command, Further, type CommandQueue, type RawClient } from "../connection/command-queue.ts";
import { closedLink, type Link } from "../connection/link.ts";
import { sendAll } from "../connection/trip.ts";
import type { Announcement, Script } from "../lua/script.ts";
import { SERVER_TIME } from "../lua/string-scripts.ts";
import { isRefusal, isWrongType, type Origin } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import { readInParts, readTogether, type BatchAnswer, type Ends, type Receiver } from "./batch-read.ts";
import { RedisCoherence, type CoherenceSettings, type OwnChange } from "./coherence.ts";
import { hashes, NO_VERSION, writeIdOf, type WriteIds } from "./entry-fields.ts";
import { isPlaceholder, MARK_BYTES, NOTHING, type EntryLayout, type Question, type Read } from "./entry-layout.ts";
import { RedisLeases } from "./leases.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { ServerClocks } from "./server-clock.ts";
import { orRejected, over, Steps, type Plain, type Step } from "./steps.ts";
import { STRINGS } from "./string-entry.ts";
import { RedisTagVersions } from "./tag-versions.ts";
import { walkPrimaries, type WalkOf } from "./walk.ts";

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
  /** Epoch milliseconds, for an `s` that is an instant. */
  readonly epochMs: () => number;
  /** Read at each write. @default no announcements */
  readonly announce?: Announcement;
  /** `undefined` receives no changes. */
  readonly coherence?: Omit<CoherenceSettings, "label" | "keys" | "readTags"> | undefined;
}

/** A link, shared with others perhaps. */
export interface BackendHold {
  readonly link: Link;
  /** @default it cannot be walked */
  readonly servers?: WalkOf["servers"];
  /** @default unknown */
  readonly database?: number | undefined;
  release(): Promise<void>;
}

/** The content of the key of an entry. */
export interface KeyContent {
  /** The key in Redis. */
  readonly key: string;
  /** The type of the key, as Redis names it; `none` where there is no key. */
  readonly type: string;
  /** Whether the key has the placeholder of a missing entry that is being loaded. */
  readonly isPlaceholder: boolean;
}

/** Where a read is sent. */
interface Connection {
  readonly client: RawClient;
  readonly queue: CommandQueue;
}

/** `undefined` where the servers cannot be reached one by one. */
function walkOf(
  { servers, link }: BackendHold,
  { keys, label, responseTimeoutMs: deadlineMs }: BackendSettings,
): Backend["walk"] {
  return servers && ((walk) => walkPrimaries({ servers, keys, label, deadlineMs, clock: link.queue.clock }, walk));
}

const NO_ANNOUNCEMENT: Announcement = Object.freeze({ channel: "", sender: "" });

/** Entries in Redis, in the layout of a codec: how a backend is described, connected and closed, and what it sends. */
export class EntryBackend extends Steps implements Backend {
  readonly label: string;
  readonly format: Format;
  readonly compressor: Compressor;
  readonly alsoReads: readonly (Format | Compressor)[];
  readonly sealScope: string;
  readonly database: number | undefined;
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
  readonly coherence?: RedisCoherence;
  readonly readsLag?: boolean;
  readonly keepsKeys: boolean;
  readonly walk?: NonNullable<Backend["walk"]>;
  protected readonly announce: Announcement;
  /** Where instants are by the clocks of the servers. */
  readonly #clocks: ServerClocks | undefined;
  readonly #release: () => Promise<void>;
  readonly #settings: BackendSettings;

  constructor(hold: BackendHold, settings: BackendSettings) {
    super(settings.label, hold.link, layoutOf(settings), settings);
    this.label = settings.label;
    this.format = settings.format;
    this.compressor = settings.compressor;
    this.alsoReads = settings.alsoReads;
    this.sealScope = settings.sealScope ?? "";
    this.database = hold.database;
    this.deadlineMs = settings.responseTimeoutMs;
    if (settings.breaker !== undefined) this.breaker = settings.breaker;
    this.maxEntryBytes = settings.maxEntryBytes;
    this.maxDecodedBytes = settings.maxDecodedBytes;
    const walk = walkOf(hold, settings);
    if (walk !== undefined) this.walk = walk;
    this.#release = hold.release;
    this.#settings = settings;
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
    this.keepsMeta = this.layout.hasVersions;
    if (this.layout.isTimed)
      this.#clocks = new ServerClocks(
        () => this.link,
        settings.epochMs,
        (entryKey, note) => this.#askForTime(entryKey, note),
      );
    if (this.keepsMeta)
      this.tagVersions = new RedisTagVersions(
        (args, script) => this.#sendTagCommand(args, script),
        settings.keys,
        settings.writeIds,
        this.announce,
        () => this.link.queue.clock.now(),
      );
    const { parts } = hold.link;
    if (parts !== undefined)
      this.parts = { names: () => parts.names(), of: (key) => parts.of(this.keys.entryIfAny(key) ?? "") };
    this.batch = { read: (keys) => this.#readMany(keys) };
    const commands = {
      run: <T>(step: Step<T>) => this.run(step),
      confirm: <T>(key: string, question: Question<T>) => this.#confirm(key, question),
      counted: <T>(key: string, change: () => Promise<T>, done: (result: T) => OwnChange | undefined) =>
        this.#counted(key, change, done),
      mayPlace: () => this.#mayPlace(),
      announces: this.announce.channel !== "",
      keepsCopies: () => this.announce.sender !== "",
      now: () => this.link.queue.clock.now(),
      timeAt: (key: string) => this.#timeAt(key),
      epochMs: settings.epochMs,
    };
    this.leases = new RedisLeases(commands, this.layout, settings);
  }

  read(key: string, seen?: string): Promise<StoredAnswer | undefined> {
    let entryKey: string;
    try {
      entryKey = this.keys.entry(key);
    } catch (error) {
      return Promise.reject(error);
    }
    const { read, head } = this.layout;
    if (seen !== undefined && seen !== NO_VERSION && head !== undefined)
      return this.#readBy(entryKey, head, (command) => ({
        done: (found) => command.done(found?.version === seen ? { ...found, data: NOTHING, isSeen: true } : NOT_SEEN),
        // A user may have no right to these commands.
        fail: (error) => (isRefusal(error) ? command.done(NOT_SEEN) : command.fail(error)),
      }));
    const { queue } = this.link;
    const { client } = queue;
    if (client === undefined || queue.inFlight >= queue.maxInFlight)
      return this.#readBy(entryKey, read, (ends) => ends);
    const command = queue.begin<StoredAnswer | undefined>(this.origins.read);
    // From this frame: it is the hot path.
    sendAll(client, read.commands(entryKey), this.#receiver(entryKey, read, { client, queue }, command));
    command.sent(read.count);
    return command;
  }

  #readBy<T>(entryKey: string, read: Read<T>, endsOf: (command: Command<T>) => Ends<T>): Promise<T> {
    return this.begin((client, command, queue) => {
      sendAll(client, read.commands(entryKey), this.#receiver(entryKey, read, { client, queue }, endsOf(command)));
      command.sent(read.count);
    });
  }

  /** To be called before the read is sent: the server is asked for its time, where it has to be. */
  #receiver<T>(entryKey: string, read: Read<T, never>, { client, queue }: Connection, ends: Ends<T>): Receiver {
    const clock = this.#clocks?.of(entryKey, client);
    return (replies) => {
      queue.replied(read.count);
      const answer = (): void => {
        const result = this.#answer(read, replies, 0, clock && (() => clock.latestMs));
        if (result instanceof Error) ends.fail(result);
        else ends.done(result);
      };
      const isEnough = clock === undefined || clock.counts(client) || replies[0] instanceof Error;
      if (isEnough || read.needsTime?.(replies, 0) !== true) return answer();
      this.#clocks!.ask(clock, entryKey, client).then(answer, (error: unknown) => ends.fail(error));
    };
  }

  /** What the replies from `at` on say; an error where the key could not be read. */
  #answer<T>(read: Read<T, never>, replies: readonly unknown[], at: number, nowMs = this.#settings.epochMs): T | Error {
    for (let i = at; i < at + read.count; i += 1) {
      const reply = replies[i];
      if (!(reply instanceof Error)) continue;
      // A key of another type is a miss; MGET has no such error.
      return isWrongType(reply) ? (undefined as T) : (this.fault(this.origins.read, reply) as Error);
    }
    try {
      return read.decode(replies, at, nowMs);
    } catch (error) {
      return error as Error;
    }
  }

  write(key: string, entry: StoredEntry): Promise<void> {
    return orRejected(() => this.#write(key, entry));
  }

  #write(key: string, entry: StoredEntry): Promise<void> {
    const { layout } = this;
    const version = writeIdOf(entry, this.#settings.writeIds);
    const args = layout.encode(entry, version, this.#timeAt(key));
    if (args === undefined)
      return this.run({ operation: "remove", key, script: layout.scripts.remove, args: [], interpret: ignore });
    // Over HTTP it may arrive late: the script refuses it then.
    const set = this.isPlain && this.link.isHttp !== true ? layout.set?.(args) : undefined;
    const plain: Plain<void> | undefined = set && {
      // SET is no read, and Redis pushes the next change of what was read: where there are copies, that is this entry.
      commands: (entryKey, lease) => [
        ["DEL", lease],
        over(entryKey, set),
        ...(this.announce.sender === "" ? [] : [over(entryKey, layout.version().command)]),
      ],
      settled: ([, written, head]) => {
        // Refused, for want of memory say: the script removes the former entry.
        if (written instanceof Error) return new Further(args);
        if (head !== undefined && layout.version().interpret(head) !== version) this.coherence?.changed(key);
        return undefined;
      },
    };
    const { write: script } = layout.scripts;
    return this.run({ operation: "write", key, script, over: "behindLease", args, interpret: ignore, plain });
  }

  /** Epoch milliseconds for what is written. */
  #timeAt(key: string): number | undefined {
    return this.#clocks === undefined ? this.#settings.epochMs() : this.#clocks.earliestMs(this.keys.entry(key));
  }

  #askForTime(entryKey: string, note: (time: unknown) => void): Promise<void> {
    return this.send(this.origins.read, this.scriptCommand(SERVER_TIME, [entryKey], []), note, { script: SERVER_TIME });
  }

  /**
   * Removes an entry, its lease and a placeholder by two commands in one trip. The removal of nothing is reported too:
   * to the holder of a lease, and to processes that keep a value which Redis refused to store.
   */
  remove(key: string): Promise<DeleteStatus> {
    const { layout } = this;
    let hadAny = false;
    const plain: Plain<DeleteStatus> = {
      commands: (entryKey, lease) => [layout.look(entryKey), ["DEL", entryKey, lease]],
      settled: ([looked, count]) => {
        const found = layout.was(looked);
        if (found !== undefined) return found ? "deleted" : "missing";
        hadAny = count !== 0;
        return new Further([]);
      },
    };
    return this.run({
      operation: "remove",
      key,
      script: layout.scripts.remove,
      args: [],
      interpret: (count) => (hadAny || count === 1 ? "deleted" : "missing"),
      plain: this.keys.isBare || this.announce.channel !== "" ? undefined : plain,
    });
  }

  markStale(key: string): Promise<"stale" | "missing"> {
    const { markStale: script } = this.layout.scripts;
    const interpret = (count: unknown): "stale" | "missing" => (count === 1 ? "stale" : "missing");
    return this.run({ operation: "markStale", key, script, over: "behindLease", args: [], interpret });
  }

  /** Many reads in one trip, as far as there is room. A failed read is a miss, as long as another one was answered. */
  async #readMany(keys: readonly string[]): Promise<BatchAnswer> {
    if (keys.length === 0) return [];
    const { queue, readsFromReplicas } = this.link;
    const entryKeys = keys.map((key) => this.keys.entry(key));
    // In a cluster one command takes the keys of one slot alone.
    const { read, readMany: all } = this.layout;
    if (all !== undefined && this.parts === undefined)
      return this.begin<BatchAnswer>((client, command, queue) => {
        sendAll(client, all.commands(entryKeys), this.#receiver(entryKeys[0]!, all, { client, queue }, command));
        command.sent(all.count);
      });
    const { client } = queue;
    if (client !== undefined && queue.inFlight + 2 * keys.length <= queue.maxInFlight)
      return readTogether({ client, queue, origin: this.origins.read }, entryKeys, read, {
        answer: this.#clocks === undefined ? (replies, at) => this.#answer(read, replies, at) : undefined,
        receiver: (entryKey, ends) => this.#receiver(entryKey, read, { client, queue }, ends),
      });
    // Replicas answer for keys in turn, so then nothing is known before a read is sent.
    const parts = readsFromReplicas === true ? undefined : this.parts;
    const serverOf = (i: number): string | undefined => parts?.of(keys[i]!);
    return readInParts(keys, { queue, origin: this.origins.read, serverOf }, (key) => this.read(key));
  }

  /** Sends each command that a read takes. */
  async #mayRead(key: string): Promise<void> {
    await this.#sendTagCommand(["MGET", this.keys.entry(key)], undefined);
    await this.read(key);
    if (this.#clocks !== undefined) await this.#askForTime(this.keys.entry(key), ignore);
  }

  protected override fault(origin: Origin, error: unknown): unknown {
    const failure = super.fault(origin, error);
    const message = error instanceof Error ? error.message : "";
    // A user that may not write is refused pins of tags, and receives all changes of what it reads; heads are optional.
    const command = /^NOPERM .* '(?!getrange|hstrlen)(.*)' command/i.exec(message)?.[1];
    if (command !== undefined && (origin === this.origins.read || (origin === this.origins.tags && command === "mget")))
      this.coherence?.forbidden(failure, () => this.#mayRead("rights"));
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
    const entryKey = this.keys.entry(readOption(key, "peek(key): key", KEY));
    const interpret = (type: unknown, [start]: readonly unknown[]): KeyContent => ({
      key: entryKey,
      type: String(type),
      // An error where the key holds another type.
      isPlaceholder: !(start instanceof Error) && isPlaceholder(start as Buffer),
    });
    return this.send(this.origins.read, ["TYPE", entryKey], interpret, {
      before: [["GETRANGE", entryKey, "0", String(MARK_BYTES - 1)]],
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

  #sendTagCommand(args: (string | Buffer)[], script: Script | undefined): Promise<unknown> {
    this.coherence?.noteTagsInUse(args);
    return this.send(this.origins.tags, args, asIs, { script });
  }

  /** Sends a question. Once it is answered, every change acknowledged before it, to any client, has been received. */
  #confirm<T>(key: string, { command, interpret, onWrongType }: Question<T>): Promise<T> {
    const mode = this.coherence?.mode;
    const isTracking = mode === "tracking" && this.coherence!.hasListeners;
    const link = isTracking ? (this.link.changesLink ?? this.link) : this.link;
    const reply = this.at(key, (entryKey) => {
      const again = <R>(result: R | Further): R | Further =>
        result instanceof Further ? new Further(over(entryKey, result.args)) : result;
      return this.send(this.origins.confirm, over(entryKey, command), (given) => again(interpret(given)), {
        link,
        ...(onWrongType && { onWrongType: () => again(onWrongType()) }),
      });
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

const KEY = text("");
const asIs = (reply: unknown): unknown => reply;
/** The answer for an entry that has another version or none, or is not there. */
const NOT_SEEN: StoredAnswer = { data: NOTHING, staleInMs: 0, expiresInMs: 1, meta: "", isSeen: false };

function layoutOf({ layout }: BackendSettings): EntryLayout {
  return layout === "string" ? STRINGS : hashes(layout);
}
