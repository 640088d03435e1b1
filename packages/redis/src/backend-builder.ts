import {
  ConfigurationError,
  defineBackend,
  InvalidArgumentError,
  systemClock,
  type Awaitable,
  type Backend,
  type Coherence,
  type Compressor,
  type Duration,
  type Format,
  type Seal,
} from "@hotset/core";
import { checkNames, newId, readOption, readOptions, refuseSurplus, timerMs, type Option } from "@hotset/core/internal";
import { onReconnect, type ObservableLink } from "./connection/link.ts";
import { LOAD_SCRIPTS } from "./connection/load-scripts.ts";
import { hold, isOverHttp, type Connection, type ConnectSettings } from "./held-connection.ts";
import { checkCoherence, checkReaders } from "./link-checks.ts";
import type { Backoff } from "./primitives/backoff.ts";
import { codecs, NOTHING_SHIPPED, type Shipped } from "./primitives/codecs.ts";
import { factor, FORMAT, isCompressor, type BreakerOptions } from "./primitives/option-rules.ts";
import { CONNECTS, SETTER_DEFAULTS, SETTERS, type SetterValues } from "./setters.ts";
import { EntryBackend, type BackendSettings, type KeyContent } from "./store/entry-backend.ts";
import { RedisKeys } from "./store/redis-keys.ts";
import type { ServerAddress } from "./url.ts";

/**
 * How entries are stored, the same for every connection. Immutable: each call returns a new builder. Calls throw
 * `InvalidArgumentError` for a value that they do not accept.
 */
export interface RedisBackendSettings {
  /** Names the tier in events, numbers and errors. @default 'redis' */
  label(label: string): this;
  /**
   * Prefix of every key, before the cache's name; backends with different prefixes never meet. No `:` and no `~`, which
   * end it in a key; braces only as one complete hash tag. Coherence tracks `<prefix>:`.
   *
   * `''` is for keys shared with other programs: keys of the cache are keys of Redis, so callers who choose keys reach
   * every key. It needs `coherence('none')` and a cache without a name. A key that holds no entry is a miss there, and
   * writes and removals of it are refused.
   *
   * @default 'hotset'
   */
  keyPrefix(prefix: string): this;
  /** `hashed` keys have a fixed length. @default 'readable' */
  keyFormat(format: "readable" | "hashed"): this;
  /**
   * Writes new values. Entries in other formats are misses, unless `alsoReads` names their format.
   *
   * @default From `hotset`: writes msgpack() and reads json(), too. In `@hotset/redis` alone it must be given: services
   *   with different defaults would overwrite each other.
   */
  valueFormat(format: Format): this;
  /**
   * Compresses new values. Entries of other compressors are misses, unless `alsoReads` names their compressor; entries
   * without compression are read.
   *
   * @default passthrough(). From `hotset` it reads gzip(), brotli() and zstd(), too.
   */
  compressor(compressor: Compressor): this;
  /**
   * Entries in these formats, and of these compressors, are read, too: change formats without a flush. Further calls
   * add to earlier ones.
   */
  alsoReads(...others: readonly (Format | Compressor)[]): this;
  /**
   * Entries are sealed, and an entry that this seal does not open is a miss. It is bound to `keyPrefix` too. Not with
   * `layout("plain")`.
   *
   * @default none
   */
  seal(seal: Seal): this;
  /**
   * `full` writes hashes, which other programs can read. `string` writes one string for each entry: half the memory
   * for values around 100 bytes, nearly the same for 1 KB, and less time of Redis, best on Redis 8.4 and Valkey 8.1;
   * while a missing entry is loaded, a placeholder is in its key. It needs a prefix. `plain` writes value and staleness
   * only, for other programs; no tags, no validators. All that share a prefix should set the same: what another layout
   * wrote is a miss.
   *
   * @default 'full'
   */
  layout(layout: "full" | "plain" | "string"): this;
  /**
   * How processes receive each other's changes. All that share a cache must set the same: over `tracking` no change is
   * published, and over `pubsub` nothing else is received. Over HTTP `tracking` is refused, and `pubsub` keeps a stream of
   * server-sent events open: for processes that live long.
   *
   * @default 'tracking', and 'none' over HTTP
   */
  coherence(mode: "tracking" | "pubsub" | "none"): this;
  /** The longest that a silent link or a frozen process can hide a change from the local tier. @default '2s' */
  maxStaleness(bound: Duration): this;
  /**
   * When the server has changed, invalidations that this process made in this time before are issued again.
   *
   * @default '30s'
   */
  reissueWindow(window: Duration): this;
  /**
   * How long a process that loads may stand still, or be dead, before another one loads in its place: 500 ms to 60 s. A
   * lease is renewed after a quarter of it. Processes may differ in it.
   *
   * @default '2s'
   */
  leaseTime(time: Duration): this;
  /**
   * After `failures` in a row Redis is not asked; then one call is let through after `wait`, which doubles up to
   * `longestWait` while that fails. Error replies are no failures.
   *
   * @default { failures: 5, wait: '1s', longestWait: '30s' }
   */
  breaker(policy: BreakerOptions): this;
  /** Sets the largest encoded entry, `Backend.maxEntryBytes`. */
  maxEntryBytes(bytes: number): this;
  /** Sets the largest decoded value, `Backend.maxDecodedBytes`. */
  maxDecodedBytes(bytes: number): this;
  /**
   * Timeout of each command, from when it is sent; also of its wait for a connection, but not for the socket of the
   * first one.
   *
   * @default '1s'
   */
  responseTimeout(timeout: Duration): this;
  /**
   * Synchronous, opens nothing; connects once, on first use. Begins to load node-redis.
   *
   * @throws {MissingConnectionError} without a connection.
   * @throws {ConfigurationError} without a format, and for settings that contradict each other.
   */
  build(): RedisBackend;
}

/** The settings, and how to connect. Calls throw `InvalidArgumentError` for a value that they do not accept. */
export interface RedisBackendBuilder extends RedisBackendSettings {
  /**
   * In place of the one before.
   *
   * @throws {ConfigurationError} for further arguments.
   */
  connection(connection: string | URL | ServerAddress | Connection): this;
  /** Overrides the URL's. */
  username(username: string): this;
  /**
   * Overrides the URL's. A function is called at each connection attempt: for tokens that expire. `""` is for a user
   * with `nopass`, as in `redis://user:@host`.
   */
  password(password: string | (() => Awaitable<string>)): this;
  /**
   * The name of each connection in `CLIENT LIST`: 1 to 128 printable ASCII characters, no spaces. Not set where the
   * server refuses it.
   *
   * @default 'hotset:' and the label
   */
  clientName(name: string): this;
  /** Timeout of one connection attempt, and so of the wait of the first calls for a socket. @default '5s' */
  connectTimeout(timeout: Duration): this;
  /** Failed connection attempts in a row before giving up until the next call. @default Infinity */
  retries(attempts: number): this;
  /**
   * The wait before attempt n is random in [0, min(max, base * factor ** n)].
   *
   * @default { base: '50ms', factor: 2, max: '5s' }
   */
  backoff(backoff: {
    readonly base?: Duration | undefined;
    readonly factor?: number | undefined;
    readonly max?: Duration | undefined;
  }): this;
  /** Version of RESP. 2 has no tracking: it needs `coherence("pubsub")` or `"none"`. @default 3 */
  protocol(version: 2 | 3): this;
  /** The most commands in flight; further ones wait within their timeout. @default 5_000 */
  maxInFlight(commands: number): this;
}

/** A Redis backend: a tier of a cache. */
export interface RedisBackend extends Backend {
  /** `undefined` for `coherence("none")`. */
  readonly coherence?: Coherence;
  /** How changes by other processes are received. `undefined` for `coherence("none")`. */
  readonly coherenceMode: "tracking" | "pubsub" | undefined;
  /** Number of the database that its address names; `undefined` for a cluster, for a client of yours and over HTTP. */
  readonly database: number | undefined;
  /** Round-trip time in milliseconds. @throws {BackendUnavailableError} */
  ping(): Promise<number>;
  /**
   * What is in the key of an entry, whichever layout wrote it: for tools. Its value is not transferred.
   *
   * @param key as a cache gives it to its backend.
   * @throws {BackendUnavailableError}
   */
  peek(key: string): Promise<KeyContent>;
}

/** Makes a connection of what `redis` is given: of a URL, say. A connection stays as it is. */
export type Connect = (given: string | URL | ServerAddress | Connection) => unknown;

interface Settings extends SetterValues {
  readonly connect: Connect;
  readonly connection: unknown;
  readonly shipped: Shipped;
  readonly alsoReads: readonly (Format | Compressor)[];
  readonly backoff: Backoff;
  /** Names of the connection settings that were given: a client of the user refuses them. */
  readonly connects: readonly string[];
  /** Whether `coherence` was called. */
  readonly choosesCoherence: boolean;
}

const DEFAULTS: Omit<Settings, "connect"> = Object.freeze({
  ...SETTER_DEFAULTS,
  connection: undefined,
  shipped: NOTHING_SHIPPED,
  alsoReads: Object.freeze([]),
  backoff: Object.freeze({ baseMs: 50, factor: 2, maxMs: 5_000 }),
  connects: Object.freeze([]),
  choosesCoherence: false,
});

const BACKOFF = { base: timerMs(undefined, 0), factor: factor(undefined), max: timerMs(undefined, 0) };

/** A builder whose connections `connect` makes. */
export const builderOver = (connect: Connect, shipped: Shipped = NOTHING_SHIPPED): RedisBackendBuilder =>
  new Builder({ ...DEFAULTS, connect, shipped }) as unknown as RedisBackendBuilder;

class Builder {
  readonly #settings: Settings;

  static {
    for (const [name, rule] of Object.entries<Option>(SETTERS))
      Object.defineProperty(Builder.prototype, name, {
        value(this: Builder, given: unknown): Builder {
          return this.#with({ [name]: readOption(given, name, rule) }, name);
        },
      });
  }

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  alsoReads(...others: readonly (Format | Compressor)[]): Builder {
    for (const other of others) if (!isCompressor(other)) readOption(other, "alsoReads", FORMAT);
    return this.#with({ alsoReads: Object.freeze([...this.#settings.alsoReads, ...others]) });
  }

  connection(connection: string | URL | ServerAddress | Connection, ...surplus: readonly unknown[]): Builder {
    refuseSurplus(
      "redis(url)",
      surplus,
      "settings follow as calls: redis(url).keyPrefix(prefix).password(secret).build()",
    );
    return this.#with({ connection: this.#settings.connect(connection) });
  }

  backoff(backoff: { readonly base?: Duration; readonly factor?: number; readonly max?: Duration }): Builder {
    checkNames(backoff ?? null, BACKOFF, { place: "redis", inside: "backoff" });
    const before = this.#settings.backoff;
    const read = readOptions(backoff, BACKOFF, "backoff.");
    const next: Backoff = Object.freeze({
      baseMs: read.base ?? before.baseMs,
      factor: read.factor ?? before.factor,
      maxMs: read.max ?? before.maxMs,
    });
    if (next.baseMs > next.maxMs)
      throw new InvalidArgumentError(
        `backoff.base must not be longer than backoff.max, got ${next.baseMs} ms and ${next.maxMs} ms`,
      );
    return this.#with({ backoff: next }, "backoff");
  }

  build(): RedisBackend {
    const settings = this.#settings;
    // Most programs over HTTP live too briefly to receive changes, so this is the default there.
    const coherence = isOverHttp(settings.connection) && !settings.choosesCoherence ? "none" : settings.coherence;
    const { format: valueFormat, compressor: writes, alsoReads } = codecs(settings.shipped, settings);
    if (settings.connection === undefined) hold(undefined, this.#connectSettings());
    if (valueFormat === undefined) {
      throw new ConfigurationError(
        "redis: no valueFormat; services with different defaults would overwrite each other's entries, so set one " +
          "(.valueFormat(msgpack())), or import redis() from 'hotset', whose default is msgpack",
      );
    }
    if (settings.keyPrefix === "" && coherence !== "none") {
      throw new ConfigurationError(
        'redis: with keyPrefix("") coherence would track every key of the server; set coherence("none"), or a prefix',
      );
    }
    if (settings.protocol === 2 && coherence === "tracking") {
      throw new ConfigurationError(
        'redis: protocol(2) cannot carry tracking; set coherence("pubsub") in all processes, coherence("none"), or protocol(3)',
      );
    }
    if (settings.seal !== undefined && settings.layout === "plain") {
      throw new ConfigurationError(
        'redis: layout("plain") has no room for a seal; remove seal(...), or set layout("full")',
      );
    }
    if (settings.keyPrefix === "" && settings.layout === "string") {
      throw new ConfigurationError(
        'redis: layout("string") puts placeholders in keys that other programs read with keyPrefix(""); set a ' +
          'prefix, or layout("full")',
      );
    }
    const held = hold(settings.connection, this.#connectSettings());
    checkReaders(held, settings.layout);
    checkCoherence(held, coherence);
    const codec = { format: valueFormat, compressor: writes, alsoReads };
    const entries = this.#entrySettings(codec, held.link, coherence);
    const { layout, seal: its } = settings;
    const backend = new EntryBackend(held, { ...entries, layout });
    return defineBackend(its === undefined ? backend : sealed(backend, its));
  }

  #entrySettings(
    codec: Pick<BackendSettings, "format" | "compressor" | "alsoReads">,
    link: ObservableLink,
    coherence: Settings["coherence"],
  ): Omit<BackendSettings, "layout"> {
    const settings = this.#settings;
    return {
      label: settings.label,
      ...codec,
      sealScope: settings.keyPrefix,
      maxEntryBytes: Math.min(settings.maxEntryBytes, link.maxEntryBytes ?? Infinity),
      maxDecodedBytes: settings.maxDecodedBytes,
      responseTimeoutMs: settings.responseTimeout,
      keys: new RedisKeys({ prefix: settings.keyPrefix, format: settings.keyFormat }),
      leaseMs: settings.leaseTime,
      breaker: { ...settings.breaker, onReconnect: (listener) => onReconnect(link, listener) },
      writeIds: newId,
      epochMs: () => Date.now(),
      coherence:
        coherence === "none"
          ? undefined
          : {
              mode: coherence,
              sender: newId(),
              maxStalenessMs: settings.maxStaleness,
              reissueWindowMs: settings.reissueWindow,
            },
    };
  }

  #connectSettings(): ConnectSettings {
    const { label, layout, connectTimeout, responseTimeout } = this.#settings;
    const { username, password, clientName, protocol, retries, backoff, maxInFlight, connects } = this.#settings;
    return {
      username,
      password,
      clientName,
      protocol,
      retries,
      backoff,
      maxInFlight,
      connects,
      defaultName: `hotset:${label}`.replace(/[^!-~]/g, "_").slice(0, 128),
      connectTimeoutMs: connectTimeout,
      responseTimeoutMs: responseTimeout,
      prepare: LOAD_SCRIPTS[layout === "string" ? "string" : "hash"],
      reconnects: "used",
      clock: systemClock,
      random: Math.random,
    };
  }

  /** @param setting by which it was given. */
  #with(change: Partial<Settings>, setting = ""): Builder {
    const { connects: before, choosesCoherence: chose } = this.#settings;
    const connects = setting in CONNECTS || setting === "backoff" ? [...before, setting] : before;
    const choosesCoherence = chose || setting === "coherence";
    return new Builder(Object.freeze({ ...this.#settings, ...change, connects, choosesCoherence }));
  }
}

/** With the seal around it; what tools ask of it passes by. */
function sealed(backend: EntryBackend, seal: Seal): RedisBackend {
  const { coherence, coherenceMode, database } = backend;
  const whole = {
    ...seal.around(backend),
    coherenceMode,
    database,
    ...(coherence !== undefined && { coherence }),
    ping: () => backend.ping(),
    peek: (key: string) => backend.peek(key),
    toJSON: () => backend.toJSON(),
  };
  return whole as RedisBackend;
}
