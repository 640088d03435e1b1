import { BackendUnavailableError } from "@hotset/core";
import type { Send } from "../connection/command-queue.ts";
import { unlessRefused } from "../primitives/faults.ts";

/** Which server answers on a connection. `undefined` where the user may not ask. */
export interface Identity {
  /** `run_id`: changes with each start of the server. */
  readonly runId: string | undefined;
  /** `run_id` and the replication id of the data, which changes when a replica is promoted. */
  readonly history: string | undefined;
}

/**
 * Both questions go out in one trip, with other commands sent next to them.
 *
 * @throws {BackendUnavailableError} when the server is too old, as far as it says so.
 */
export async function identityOf(send: Send): Promise<Identity> {
  const [server, replication] = await Promise.all([
    unlessRefused(send(["INFO", "server"])),
    unlessRefused(send(["INFO", "replication"])),
  ]);
  refuseOld(server);
  const runId = field(server, "run_id");
  const history = field(replication, "master_replid");
  return { runId, history: runId === undefined || history === undefined ? undefined : `${runId} ${history}` };
}

/** A connection that is made again and again. */
export interface TrackedConnection {
  /** Whether commands of the cache go over it, so that its server is the one that is read. */
  readonly isDataConnection: boolean;
  /** Gives up the current connection. */
  distrust(error: Error): void;
}

/**
 * The connections of one link, which must all lead to one server: changes received from one server say nothing about
 * the entries of another. Names, proxies and sentinels may move the connections to another server, one after the other.
 */
export class ServerIdentityGuard {
  readonly #replaced: () => void;
  readonly #connected = new Map<TrackedConnection, Identity>();
  /** The last identity seen on each connection. */
  readonly #last = new Map<TrackedConnection, Identity>();
  #history: string | undefined;

  /**
   * @param replaced called when another server answers: by the first connection that shows it, and by each data
   *   connection.
   */
  constructor(replaced: () => void) {
    this.#replaced = replaced;
  }

  /**
   * A connection was made. Runs before queued commands are sent on it, so entries that another server brought back
   * cannot be read first.
   */
  up(connection: TrackedConnection, identity: Identity): void {
    const { history, runId } = identity;
    const previous = this.#last.get(connection);
    this.#connected.set(connection, identity);
    this.#last.set(connection, identity);
    // An unidentified server may differ on every reconnect, so other unidentified connections are dropped too.
    const mayHaveMoved = history === undefined && connection.isDataConnection && previous !== undefined;
    const isAnotherServer = history !== undefined && this.#history !== undefined && history !== this.#history;
    // When another connection had moved first, invalidations were issued again over this one, to its old server.
    const hasFollowed = connection.isDataConnection && previous !== undefined && history !== previous.history;
    this.#history = history ?? this.#history;
    if (mayHaveMoved || isAnotherServer || hasFollowed) this.#replaced();
    for (const [other, { runId: otherRunId }] of this.#connected)
      if (
        other !== connection &&
        (runId === undefined || otherRunId === undefined ? mayHaveMoved : runId !== otherRunId)
      )
        other.distrust(new Error("another server answers now"));
  }

  down(connection: TrackedConnection): void {
    this.#connected.delete(connection);
  }

  /**
   * Whether all connections lead to one server, as far as is known. A data connection that is down may lead elsewhere
   * once it is back.
   */
  get leadsToOneServer(): boolean {
    for (const connection of this.#last.keys())
      if (connection.isDataConnection && !this.#connected.has(connection)) return false;
    return new Set([...this.#connected.values()].flatMap(({ runId }) => runId ?? [])).size <= 1;
  }
}

/** The texts of errors of scripts, and the end of tracking, are others before it. */
const OLDEST_REDIS = 7;

/** Other products state the version of Redis that they imitate, and one of their own next to it: they are tried. */
function refuseOld(info: unknown): void {
  const version = field(info, "redis_version");
  const isImitation = /^(?!redis_|gcc_)\w+_version:/m.test(String(info));
  if (version === undefined || isImitation || !(Number.parseInt(version, 10) < OLDEST_REDIS)) return;
  throw new BackendUnavailableError(
    `Redis ${version} is too old: hotset needs Redis ${OLDEST_REDIS}.0 or later, or Valkey; update the server`,
    { operation: "connect", retryable: false, maybeExecuted: false },
  );
}

const field = (info: unknown, name: string): string | undefined =>
  new RegExp(`^${name}:(\\S+)`, "m").exec(String(info))?.[1];
