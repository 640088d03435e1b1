import { unlessRefused } from "../primitives/faults.ts";
import type { Send } from "../connection/command-queue.ts";

/** Who answers on a connection; nothing is known where the user may not ask. */
export interface Identity {
  /** `run_id`: another one after each start. */
  readonly runId: string | undefined;
  /** The start and the history of its data, which becomes another when a replica is promoted. */
  readonly history: string | undefined;
}

/** In one trip, with what is sent beside it. */
export async function identityOf(send: Send): Promise<Identity> {
  const [server, replication] = await Promise.all([
    unlessRefused(send(["INFO", "server"])),
    unlessRefused(send(["INFO", "replication"])),
  ]);
  const runId = field(server, "run_id");
  const history = field(replication, "master_replid");
  return { runId, history: runId === undefined || history === undefined ? undefined : `${runId} ${history}` };
}

/** A connection, time and again a new one. */
export interface TrackedConnection {
  /** Whether calls go over it, so that what it leads to is what is read. */
  readonly isDataConnection: boolean;
  /** Gives up the connection there is. */
  distrust(error: Error): void;
}

/**
 * The connections of one link, which must all lead to one server: what is heard from one says nothing about what another
 * holds. Names, proxies and sentinels may lead each of them elsewhere, one after the other.
 */
export class ServerIdentityGuard {
  readonly #replaced: () => void;
  readonly #connected = new Map<TrackedConnection, Identity>();
  /** Whom each has led to last. */
  readonly #last = new Map<TrackedConnection, Identity>();
  #history: string | undefined;

  /** @param replaced called when another server answers: by whichever connection that shows first, and by each that carries calls. */
  constructor(replaced: () => void) {
    this.#replaced = replaced;
  }

  /** A connection was made, and nothing that waits is sent on it yet: what another server may have brought back must not be read first. */
  up(member: TrackedConnection, identity: Identity): void {
    const { history, runId } = identity;
    const before = this.#last.get(member);
    this.#connected.set(member, identity);
    this.#last.set(member, identity);
    // One that does not tell who it is may be another one each time; then those that tell nothing either are left behind by calls.
    const mayHaveMoved = history === undefined && member.isDataConnection && before !== undefined;
    const isNews = history !== undefined && this.#history !== undefined && history !== this.#history;
    // What was issued again when another connection had moved went to where these calls led then.
    const follows = member.isDataConnection && before !== undefined && history !== before.history;
    this.#history = history ?? this.#history;
    if (mayHaveMoved || isNews || follows) this.#replaced();
    for (const [other, { runId: otherRunId }] of this.#connected)
      if (other !== member && (runId === undefined || otherRunId === undefined ? mayHaveMoved : runId !== otherRunId))
        other.distrust(new Error("another server answers now"));
  }

  down(member: TrackedConnection): void {
    this.#connected.delete(member);
  }

  /** Whether all connections lead to one server, as far as they tell. One for calls that is away may lead elsewhere when it is back. */
  get isOne(): boolean {
    for (const member of this.#last.keys()) if (member.isDataConnection && !this.#connected.has(member)) return false;
    return new Set([...this.#connected.values()].flatMap(({ runId }) => runId ?? [])).size <= 1;
  }
}

const field = (info: unknown, name: string): string | undefined =>
  new RegExp(`^${name}:(\\S+)`, "m").exec(String(info))?.[1];
