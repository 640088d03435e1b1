import type { Awaitable, CacheLogger, Clock, Duration } from "@hotset/core";
import type {
  ClientConnection,
  Connection,
  HttpConnection,
  IoRedisClientLike,
  RedisClientLike,
  ResolveAddress,
  TlsOptions,
} from "@hotset/redis";

/** How the server and this client are verified. Files are read when the options are checked, and at each connection. */
export interface TlsFiles {
  /** Authorities to trust instead of those of the system, PEM. Env: `REDIS_TLS_CA_PATH` */
  readonly caPath?: string | undefined;
  /** Certificate of this client, PEM. Needs `keyPath`. Env: `REDIS_TLS_CERT_PATH` */
  readonly certPath?: string | undefined;
  /** Env: `REDIS_TLS_KEY_PATH` */
  readonly keyPath?: string | undefined;
  /** The name that the certificate of the server must have. @default the host of the address */
  readonly servername?: string | undefined;
  /** @default 'TLSv1.2' */
  readonly minVersion?: TlsOptions["minVersion"];
}

/**
 * Every option, with its variable. An option counts more than a variable, a variable of the process more than one of
 * the `.env` file, and that more than the default. Timeouts also have a variable with `_MS` at the end.
 */
export interface RedisOptions {
  /** `false`: nothing is connected, and calls reject with `REDIS_DISABLED`. Env: `ENABLE_REDIS` @default true */
  readonly enabled?: boolean | undefined;
  /**
   * `redis:`, `rediss:` or `unix:`. A part that it names must not be given again with another value by an option, or by
   * a variable next to `REDIS_URL`. Env: `REDIS_URL`
   */
  readonly url?: string | undefined;
  /** Env: `REDIS_HOST` @default 'localhost' */
  readonly host?: string | undefined;
  /** Env: `REDIS_PORT` @default 6379 */
  readonly port?: number | undefined;
  /** Needs `password`, which is `""` for a user with `nopass`. Env: `REDIS_USERNAME` */
  readonly username?: string | undefined;
  /** A function is called at each connection attempt: for tokens that expire. Env: `REDIS_PASSWORD` */
  readonly password?: string | (() => Awaitable<string>) | undefined;
  /** Env: `REDIS_DB` or `REDIS_DATABASE` @default 0 */
  readonly database?: number | undefined;
  /**
   * `true`, or how. A `rediss:` URL implies it. Env: `REDIS_TLS_ENABLED`, `REDIS_TLS_CA_PATH`, `REDIS_TLS_CERT_PATH`,
   * `REDIS_TLS_KEY_PATH`
   *
   * @default false
   */
  readonly tls?: boolean | TlsFiles | undefined;
  /** URLs of some nodes of a cluster, instead of `url` or `host`. Env: `REDIS_CLUSTER_URLS`, with commas */
  readonly cluster?: readonly string[] | undefined;
  /** URLs of sentinels, instead of `url` or `host`. Needs `sentinelName`. Env: `REDIS_SENTINELS`, with commas */
  readonly sentinels?: readonly string[] | undefined;
  /** The primary's name in the sentinels. Env: `REDIS_SENTINEL_NAME` */
  readonly sentinelName?: string | undefined;
  /** Maps the addresses that a cluster or the sentinels name. */
  readonly resolveAddress?: ResolveAddress | undefined;
  /**
   * `single`, `cluster`, `sentinel` or `fromClient` of `@hotset/redis`, or `http` of `@hotset/redis/http`, instead of all
   * that names an address.
   */
  readonly connection?: Connection | ClientConnection | HttpConnection | undefined;
  /**
   * A client of node-redis 6, or of ioredis 5 or 6, that you open and close: `connection: fromClient(client)`.
   * Subscriptions, commands that wait and watching transactions get a `duplicate()` of it, which is closed here.
   */
  readonly client?: RedisClientLike | IoRedisClientLike | undefined;
  /** RESP version. @default 3, and that of `client` */
  readonly protocol?: 2 | 3 | undefined;
  /** For `CLIENT LIST`. @default 'hotset' */
  readonly clientName?: string | undefined;
  /** Env: `REDIS_CONNECTION_TIMEOUT` or `REDIS_SOCKET_CONNECT_TIMEOUT`, in seconds @default '5s' */
  readonly connectTimeout?: Duration | undefined;
  /** Bound on each command. Env: `REDIS_COMMAND_TIMEOUT` or `REDIS_SOCKET_TIMEOUT`, in seconds @default '5s' */
  readonly commandTimeout?: Duration | undefined;
  /** Connections for `transaction` and `pool.use`. Env: `REDIS_POOL_MAX_SIZE` or `REDIS_MAX_CONNECTIONS` */
  readonly pool?:
    | {
        /** @default 10 */
        readonly max?: number | undefined;
        /** How long a call waits for a free one. @default commandTimeout */
        readonly wait?: Duration | undefined;
      }
    | undefined;
  /**
   * How often a read is sent again after a lost connection; writes never are. One that begins while connecting fails is
   * refused. Env: `REDIS_MAX_RETRIES`
   *
   * @default 5
   */
  readonly readRetries?: number | undefined;
  /**
   * How long a call waits for Redis while it is unreachable, is loading or fails over: as long as a page may take. A
   * call that may have been carried out is not sent again, unless it is safe. `0`: it rejects immediately.
   *
   * @default 0
   */
  readonly patience?: Duration | undefined;
  /** Between attempts to connect, with full jitter, without end. */
  readonly backoff?:
    | {
        /** Env: `REDIS_RETRY_DELAY_MS` @default 100 ms */
        readonly base?: Duration | undefined;
        /** Env: `REDIS_RETRY_MAX_DELAY_MS` @default '5s' */
        readonly max?: Duration | undefined;
      }
    | undefined;
  /** Commands without a reply; further ones wait or are rejected. @default 5_000 */
  readonly maxInFlight?: number | undefined;
  /** @default 'wait' */
  readonly onOverload?: "wait" | "reject" | undefined;
  /**
   * Life of keys that commands of this package make without a `ttl`: `set`, `setIfAbsent` and its kind, `setJson`,
   * `incr`, `incrMany`. Has a unit: `"5m"`. Commands with the names of node-redis, such as `sAdd`, do not know it.
   *
   * @default none
   */
  readonly defaultTtl?: Exclude<Duration, number> | undefined;
  /** Likewise of hashes: `hset`, which renews it, and of new ones `hsetIfAbsent` and `hincrMany`. @default none */
  readonly defaultHashTtl?: Exclude<Duration, number> | undefined;
  /** The event `unavailable` is emitted when Redis was down for so long. @default '5s' */
  readonly unavailableAfter?: Duration | undefined;
  /**
   * How often Redis is asked whether it is there, and how long the answer may take, if `commandTimeout` is not shorter.
   * At most `unavailableAfter`. @default '2s'
   */
  readonly checkInterval?: Duration | undefined;
  /** Gets what `lenient` swallows and connections report, at most one line a second of each kind; never a value. */
  readonly logger?: CacheLogger | undefined;
  /**
   * Variables; `false` for none, and for no file either.
   *
   * @default process.env; none where an option says where Redis is: `url`, `host`, `cluster`, `sentinels`,
   * `connection`, `client`
   */
  readonly env?: Readonly<Record<string, string | undefined>> | false | undefined;
  /**
   * `true`: `.env` in the working directory, where it exists. A path: that file.
   *
   * @default true; `false` where an option says where Redis is
   */
  readonly envFile?: string | boolean | undefined;
  /** Where the time of waits in this process comes from; a `TestClock` in tests. @default the system's */
  readonly clock?: Clock | undefined;
}
