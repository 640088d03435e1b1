import type { RefusedName } from "./typed-commands.ts";

const SESSION = "it changes the connection, which others use as well: use pool.use((commands) => commands.send(args))";
const SETTINGS = "it belongs to opening a connection: set it in createRedis(options)";

/** Commands that cannot run on a shared connection, and why. */
export const NEEDS_A_CONNECTION: Readonly<Record<RefusedName, string>> & Readonly<Record<string, string | undefined>> =
  {
    asking: "the connection follows redirections of a cluster automatically",
    auth: SETTINGS,
    hello: SETTINGS,
    clientSetName: SETTINGS,
    clientCaching: SESSION,
    clientTracking: SESSION,
    clientNoEvict: SESSION,
    clientNoTouch: SESSION,
    hImportDiscard: SESSION,
    hImportDiscardAll: SESSION,
    hImportPrepare: SESSION,
    hImportSet: SESSION,
    readonly: "reads from replicas are an option of cluster(nodes)",
    replicaOf: "it would make the server forget its data",
    restoreAsking: "nodes of a cluster use it among themselves",
    scriptDebug: SESSION,
    wait: "it is about the writes of one connection: use pool.use((commands) => commands.send(args))",
  };

/** Names, in capitals, of all commands that change the connection that they run on. */
export const CHANGES_CONNECTION: ReadonlySet<string> = new Set([
  ...["ASKING", "AUTH", "DISCARD", "EXEC", "HELLO", "MONITOR", "MULTI", "PSUBSCRIBE", "PSYNC", "PUNSUBSCRIBE", "QUIT"],
  ...["READONLY", "READWRITE", "RESET", "SELECT", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "SYNC", "UNSUBSCRIBE"],
  ...["UNWATCH", "WAIT", "WAITAOF", "WATCH"],
  ...["CACHING", "NO-EVICT", "NO-TOUCH", "REPLY", "SETNAME", "TRACKING"].map((name) => `CLIENT ${name}`),
  "SCRIPT DEBUG",
]);

/** Commands that name keys and reach further: into another database, or another server. */
const BEYOND_KEYS: ReadonlySet<string> = new Set(["copy", "migrate", "move"]);

/** Why a tenant may not use a command that names keys, if so. */
export const refusedOnTenants = (name: string): string | undefined =>
  BEYOND_KEYS.has(name) ? "a tenant may not use it: it reaches beyond the keys of the tenant" : undefined;
