import { ConfigurationError, InvalidArgumentError } from "@hotset/core";
import { callback, checkGiven, checkNames, flag, readOption, refuseSurplus } from "@hotset/core/internal";
import { subscribedLink, type OpenSession } from "./changes/server-node.ts";
import { oneServer } from "./connection/servers.ts";
import { addressText, openSession, type SessionSettings } from "./connection/session.ts";
import { checkTls, type TlsSource } from "./connection/tls.ts";
import { sharedConnection, type ClientConnection, type Connection, type ConnectSettings } from "./held-connection.ts";
import type { NodeAddress } from "./primitives/hash-slots.ts";
import { beginToLoadNodeRedis } from "./primitives/node-redis.ts";
import { ClientLink, type RedisClientLike } from "./topology/client-link.ts";
import type { ClusterSettings } from "./topology/cluster-topology.ts";
import { clusterLink } from "./topology/cluster.ts";
import { IoRedisClient, isIoRedis } from "./topology/ioredis-client.ts";
import type { IoRedisClientLike } from "./topology/ioredis-commands.ts";
import type { ResolveAddress } from "./topology/named-address.ts";
import { SentinelWatcher } from "./topology/sentinel-watcher.ts";
import { openPrimary } from "./topology/sentinel.ts";
import {
  isServerAddress,
  parseAddress,
  parseUrl,
  REDIS_PORT,
  SENTINEL_PORT,
  type ParsedAddress,
  type RedisUrl,
  type ServerAddress,
} from "./url.ts";

/** `tls` adds to what a `rediss:` URL implies. */
export interface ConnectionOptions {
  /** A function is called at each attempt to connect: for certificates that are renewed. */
  readonly tls?: TlsSource | undefined;
}

/** Options of connections whose servers are found at run time. */
export interface DiscoveryOptions extends ConnectionOptions {
  /**
   * Says where an address that a node or a sentinel names is reached: maps it (Docker, Kubernetes, tunnels), or refuses
   * it with `undefined`. A refused one is not connected to; the error of the call names it. Called often, so it must be
   * quick and synchronous. Where a node does not know its own name, `host` is that of the connection which named it.
   *
   * @default every address is used as it is named
   */
  readonly resolveAddress?: ResolveAddress | undefined;
}

/**
 * One server: `redis:`, `rediss:` or `unix:` URL, or its address in parts.
 *
 * @throws {InvalidArgumentError} for an address that cannot be one.
 */
export function single(url: string | URL, options?: ConnectionOptions): Connection;
export function single(server: ServerAddress): Connection;
export function single(given: string | URL | ServerAddress, options?: ConnectionOptions): Connection {
  const target = targetOf(given, options);
  return sharedConnection("own", (settings) => {
    beginToLoadNodeRedis();
    const { address, tls, database } = target;
    const session: SessionSettings = { ...settings, ...credentialsOf(target, settings), tls, database };
    const open: OpenSession = (aborted, prepare, reached) => openSession(address, session, aborted, prepare, reached);
    const { link } = subscribedLink(open, { ...settings, address: addressText(address) });
    return { link, database, servers: oneServer(link, ({ aborted, prepare }) => open(aborted, prepare)) };
  });
}

function targetOf(given: string | URL | ServerAddress, options: ConnectionOptions | undefined): ParsedAddress {
  if (isServerAddress(given)) {
    checkNames(options, [], { place: "single(server)" });
    return parseAddress("redis(url or { host })", given);
  }
  const url = parseUrl("Redis URL", given);
  checkNames(options, ["tls"], { place: "single(url, options)" });
  return { ...url, tls: tlsOf("single", url, options) };
}

/**
 * A Redis Cluster, found through any of `nodes`. All nodes receive the same credentials, those that are found, too.
 *
 * @throws {InvalidArgumentError} when the URLs differ in their credentials.
 */
export function cluster(
  nodes: readonly (string | URL)[],
  options?: DiscoveryOptions & {
    /** Replicas may answer plain reads; leases and tags always ask the primary. @default false */
    readonly readFromReplicas?: boolean | undefined;
  },
): Connection {
  const urls = parseUrls("cluster(nodes)", nodes, REDIS_PORT);
  const [first] = urls;
  if (urls.some(({ database }) => database !== 0))
    throw new InvalidArgumentError("cluster(nodes): URLs must not name a database: a cluster has only database 0");
  const shared = sharedCredentials(urls);
  checkNames(options, ["tls", "readFromReplicas", "resolveAddress"], { place: "cluster(nodes, options)" });
  const resolveAddress = resolverOf("cluster", options);
  const { readFromReplicas = false } = options ?? {};
  readOption(readFromReplicas, "cluster: readFromReplicas", FLAG);
  const tls = tlsOf("cluster", first, options);
  return sharedConnection("own", (settings) => {
    beginToLoadNodeRedis();
    const node: SessionSettings = { ...settings, ...credentialsOf(shared, settings), tls, database: 0 };
    const cluster: ClusterSettings = {
      seeds: urls.map(({ address }) => address),
      node,
      // A replica is read while it is connected.
      link: readFromReplicas ? { ...settings, reconnects: "always" } : settings,
      prepare: settings.prepare,
      readFromReplicas,
      resolveAddress,
    };
    return clusterLink(cluster);
  });
}

/**
 * The primary that the sentinels agree on. Credentials in the URLs are those of the sentinels; the primary receives
 * `username` and `password` of the backend, and nothing else.
 *
 * @throws {InvalidArgumentError} for no sentinel, and for a `primaryName` that is not text.
 */
export function sentinel(
  sentinels: readonly (string | URL)[],
  options: DiscoveryOptions & { readonly primaryName: string },
): Connection {
  const urls = parseUrls("sentinel(sentinels)", sentinels, SENTINEL_PORT);
  const [first] = urls;
  const primaryName: unknown = options?.primaryName;
  if (typeof primaryName !== "string" || primaryName === "")
    throw new InvalidArgumentError(
      'sentinel(sentinels, { primaryName }): primaryName must be the name of the primary in the sentinels, such as "mymaster"',
    );
  checkNames(options, ["tls", "primaryName", "resolveAddress"], { place: "sentinel(sentinels, options)" });
  const resolveAddress = resolverOf("sentinel", options);
  const tls = tlsOf("sentinel", first, options);
  return sharedConnection("own", (settings) => {
    beginToLoadNodeRedis();
    const primary: SessionSettings = { ...settings, ...credentialsOf({}, settings), tls, database: first.database };
    const withSettings = urls.map((url) => ({
      address: url.address,
      settings: {
        ...settings,
        ...credentialsOf(url),
        tls,
        database: 0,
        connectTimeoutMs: Math.ceil(settings.connectTimeoutMs / 2),
      },
    }));
    const group = { sentinels: withSettings, primaryName, primary, resolveAddress };
    const watcher = new SentinelWatcher(group);
    const open: OpenSession = (aborted, prepare, reached) => openPrimary(group, watcher, aborted, prepare, reached);
    const { link } = subscribedLink(open, settings);
    const servers = oneServer(link, ({ aborted, prepare }) => open(aborted, prepare));
    return { link, servers, database: first.database, onClosed: () => watcher.close() };
  });
}

/**
 * Your node-redis 6 client, which you open and close. Coherence needs a second connection: its `duplicate()`, which we
 * open and close.
 *
 * Or your client of ioredis 5 or 6, of one server, with `autoResendUnfulfilledCommands: false` and
 * `enableOfflineQueue: false`. A cache over it needs `coherence("pubsub")` or `coherence("none")`.
 *
 * @throws {InvalidArgumentError} for a client of node-redis 5 or older, a pool, a cluster or a sentinel.
 * @throws {ConfigurationError} for an ioredis client with other options.
 */
export function fromClient(client: IoRedisClientLike): ClientConnection;
export function fromClient(client: RedisClientLike): ClientConnection;
export function fromClient(
  client: RedisClientLike | IoRedisClientLike,
  ...surplus: readonly unknown[]
): ClientConnection {
  refuseSurplus("fromClient(client)", surplus, "settings follow as calls: redis(fromClient(client)).keyPrefix(prefix)");
  return isIoRedis(client) ? overClient(IoRedisClient.of(client), "new Redis()") : overClient(client, "createClient()");
}

function overClient(client: RedisClientLike, maker: string): ClientConnection {
  if (
    typeof client !== "object" ||
    client === null ||
    typeof client.sendCommand !== "function" ||
    typeof client.withTypeMapping !== "function" ||
    typeof client.on !== "function"
  ) {
    throw new InvalidArgumentError(
      "fromClient(client): client must be one of node-redis or ioredis; pass the result of createClient() or new " +
        "Redis(). In tests, in place of ioredis-mock, use createTestCache()",
    );
  }
  const unfit = UNFIT.find(([is]) => is(client));
  if (unfit !== undefined) throw new InvalidArgumentError(`fromClient(client): ${unfit[1]}`);
  return sharedConnection("client", (settings) => {
    if (settings.connects.length > 0) {
      throw new ConfigurationError(
        `redis: ${settings.connects.join(", ")} cannot be set with fromClient(client); set them in ${maker}`,
      );
    }
    const link = new ClientLink(client, settings);
    return { link, servers: oneServer(link, ({ aborted, prepare }) => link.openDuplicate(aborted, prepare)) };
  });
}

const SEVERAL = "has several connections, and the cache needs one; ";
/** Products of node-redis that cannot be used, by a property that no other has, or that a client lacks. */
const UNFIT: readonly (readonly [is: (client: object) => boolean, text: string])[] = [
  [(it) => "tasksQueueLength" in it, `a pool ${SEVERAL}pass the result of createClient()`],
  [(it) => "masters" in it, `a cluster ${SEVERAL}use cluster([url]), or pass the result of createClient()`],
  [(it) => "acquire" in it, `a sentinel ${SEVERAL}use sentinel([url], { primaryName }), or pass createClient()`],
  // Its sendCommand ignores withCommandOptions: bytes would come as text.
  [(it) => "hSet" in it && !("arGet" in it), "a client of node-redis 5 or older; install redis 6, or give a URL"],
];

type NodeUrl = RedisUrl & { readonly address: NodeAddress };

function parseUrls(
  option: string,
  given: readonly (string | URL)[],
  defaultPort: number,
): readonly [NodeUrl, ...NodeUrl[]] {
  const urls: NodeUrl[] = [];
  for (const text of Array.isArray(given) ? given : []) {
    const url = parseUrl(option, text, defaultPort);
    const { address } = url;
    if ("path" in address)
      throw new InvalidArgumentError(
        `${option}: URLs must be redis: or rediss:, got a unix socket, which is one server`,
      );
    urls.push({ ...url, address });
  }
  const [first, ...others] = urls;
  if (first === undefined) throw new InvalidArgumentError(`${option}: must be a list of at least one URL`);
  for (const { isTls, database } of others) {
    if (isTls !== first.isTls || database !== first.database)
      throw new InvalidArgumentError(`${option}: all URLs must have the same scheme and database`);
  }
  return [first, ...others];
}

function tlsOf(name: string, { isTls }: RedisUrl, options: ConnectionOptions | undefined): TlsSource | undefined {
  const tls = options?.tls;
  if (!isTls && tls !== undefined)
    throw new ConfigurationError(
      `${name}: tls was given, but the URL is not a rediss: one; use rediss: where the server speaks TLS`,
    );
  if (tls !== undefined && typeof tls !== "function") checkTls(name, tls);
  return isTls ? (tls ?? {}) : undefined;
}

function resolverOf(name: string, options: DiscoveryOptions | undefined): ResolveAddress | undefined {
  checkGiven(options?.resolveAddress, `${name}: resolveAddress`, RESOLVER);
  return options?.resolveAddress;
}

const FLAG = flag();
const RESOLVER = callback(" of { host, port } that returns such an address, or undefined");

type Credentials = Pick<ParsedAddress, "username" | "password">;

/** The credentials in the URLs of a cluster. One URL with them is enough. */
function sharedCredentials(urls: readonly Credentials[]): Credentials {
  const [first = {}, ...others] = urls.filter((url) => url.username !== undefined || url.password !== undefined);
  if (others.some(({ username, password }) => username !== first.username || password !== first.password))
    throw new InvalidArgumentError(
      "cluster(nodes): URLs must not differ in username or password, since all nodes receive the same: set .username() and .password()",
    );
  return first;
}

function credentialsOf(
  url: Credentials,
  settings?: Pick<ConnectSettings, "username" | "password">,
): Pick<SessionSettings, "username" | "password"> {
  const username = settings?.username ?? url.username;
  const password = settings?.password ?? url.password;
  // node-redis would silently log in as the default user.
  if (username !== undefined && password === undefined)
    throw new ConfigurationError(
      'redis: a username was given without a password; give both, with the password "" for a user with nopass',
    );
  if (username === undefined && password === "")
    throw new ConfigurationError('redis: the password "" is for a user with nopass; give the username too');
  return { username, password };
}
