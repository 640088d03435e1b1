import type { Clock } from "@hotset/core";
import { isReply, isTemporary } from "./faults.ts";
import { HearingRefusedError, Hub, type Source } from "./hub.ts";
import type { RawClient } from "./lane.ts";
import type { LinkSettings } from "./link.ts";
import { loadScripts, type NodeClient, type Session } from "./session.ts";
import { SingleLink, type Watch } from "./single-link.ts";

/**
 * A link to one server, over which changes can be heard.
 *
 * @param open makes one connection, and makes it ready by `prepare`.
 */
export function trackedLink(open: (aborted: AbortSignal, prepare: (client: NodeClient) => Promise<void>) => Promise<Session>, settings: LinkSettings & { readonly protocol: 2 | 3 }): SingleLink {
  const hub: Hub = new Hub(settings.clock, () => link.ready(), () => [server]);
  const server = new TrackedServer(hub, settings.clock);
  const link = new SingleLink((aborted) => open(aborted, (client) => server.prepare(client)), settings, server, settings.protocol === 3 ? hub : undefined);
  return link;
}

/** What is known of one connection. */
interface Tracked {
  readonly client: RawClient;
  readonly id: number | undefined;
  /** `run_id` of the server; another one after each start. */
  readonly runId: string | undefined;
  /** `run_id` and history of its data, which changes when a replica is promoted. */
  readonly server: string | undefined;
  /** Prefixes whose changes are pushed. */
  prefixes: readonly string[];
}

/**
 * Hears of changes on the very connection that calls use. Redis pushes what changed behind the replies of one turn of
 * its loop, and before it sends any of them to anybody: a write that was acknowledged to anyone has been pushed here
 * before whatever is answered here later. So each answer is a barrier, and a key that is read here is heard of here.
 *
 * @see https://redis.io/docs/latest/develop/reference/client-side-caching/#broadcasting-mode
 */
export class TrackedServer implements Source, Watch {
  readonly #hub: Hub;
  readonly #clock: Clock;
  #link: SingleLink | undefined;
  #prepared: Tracked | undefined;
  #current: Tracked | undefined;
  #previous: Tracked | undefined;
  /** One change of what is tracked at a time. */
  #turn: Promise<void> = Promise.resolve();
  #asks = INFO_COMMAND;

  constructor(hub: Hub, clock: Clock) {
    this.#hub = hub;
    this.#clock = clock;
  }

  /**
   * Makes a connection ready, in one trip: scripts, who the server is, and tracking where somebody listens. Then what
   * the previous connection has left in its buffers is stopped: it would be executed behind what is sent here.
   */
  async prepare(client: NodeClient): Promise<void> {
    const prefixes = this.#hub.prefixes();
    client._getQueue().addPushHandler((push) => this.#pushed(push));
    const [id, server, replication, tracking] = await Promise.all([
      unlessRefused(client.sendCommand(["CLIENT", "ID"])),
      unlessRefused(client.sendCommand(["INFO", "server"])),
      unlessRefused(client.sendCommand(["INFO", "replication"])),
      // A refusal is told to those who attach, and keeps nobody from reading and writing.
      prefixes.length === 0 ? undefined : unlessRefused(client.sendCommand(trackingOn(prefixes))),
      loadScripts(client),
    ]);
    const runId = field(server, "run_id");
    const history = field(replication, "master_replid");
    this.#prepared = {
      client,
      id: typeof id === "number" ? id : undefined,
      runId,
      server: runId === undefined || history === undefined ? undefined : `${runId} ${history}`,
      prefixes: tracking === undefined ? [] : prefixes,
    };
    const previous = this.#previous;
    // Elsewhere the number may be a stranger's.
    if (previous?.id !== undefined && runId !== undefined && previous.runId === runId) await unlessRefused(client.sendCommand(["CLIENT", "KILL", "ID", String(previous.id)]));
  }

  up(link: SingleLink): void {
    const tracked = this.#prepared;
    this.#link = link;
    this.#current = tracked;
    const previous = this.#previous;
    this.#previous = tracked;
    // A server that does not tell who it is may be another one.
    if (previous !== undefined && (tracked?.server === undefined || tracked.server !== previous.server)) this.#hub.replaced();
  }

  down(error: Error): void {
    this.#current = undefined;
    this.#hub.lost(error);
  }

  cover(): Promise<void> {
    const covered = this.#turn.then(() => this.#cover());
    this.#turn = covered.catch(ignore);
    return covered;
  }

  async ask(deadlineMs: number): Promise<boolean> {
    const link = this.#link;
    if (this.#current === undefined || link === undefined) throw new Error("there is no connection");
    const cancel = this.#giveUpWhenSilent(link, deadlineMs);
    try {
      const reply = await this.#send(this.#asks);
      if (this.#asks !== INFO_COMMAND || isTracking(reply)) return true;
      link.distrust(new Error("tracking has ended on this connection"));
      return false;
    } catch (error) {
      if (!isReply(error)) throw error;
      // Some may not ask this; others cannot, for Redis before 6.2 does not know it. What is left proves the link alone.
      if (!isTemporary(error)) this.#asks = PING;
      // Neither BUSY nor LOADING tells anything: while a script runs, Redis sends replies before their pushes.
      return false;
    } finally {
      cancel();
    }
  }

  rest(): void {
    this.#turn = this.#turn.then(() => this.#stop()).catch(ignore);
  }

  #pushed(push: readonly unknown[]): boolean {
    if (String(push[0]) !== "invalidate") return false;
    const keys = push[1] as readonly Buffer[] | null;
    if (keys === null) this.#hub.everythingChanged();
    else this.#hub.changed(keys.map(String));
    return true;
  }

  async #cover(): Promise<void> {
    const tracked = this.#current;
    if (tracked === undefined) throw new Error("there is no connection");
    const wanted = this.#hub.prefixes();
    const missing = wanted.filter((prefix) => !tracked.prefixes.some((other) => prefix.startsWith(other)));
    if (missing.length === 0) return;
    const kept = tracked.prefixes.filter((prefix) => !missing.some((other) => prefix.startsWith(other)));
    try {
      if (kept.length === tracked.prefixes.length) {
        await this.#send(trackingOn(missing));
        tracked.prefixes = [...kept, ...missing];
        return;
      }
      // Redis does not take one that covers another beside it, and forgets what it has not pushed yet.
      const off = this.#send(TRACKING_OFF);
      off.catch(ignore);
      await this.#send(trackingOn([...kept, ...missing]));
    } catch (error) {
      if (!isReply(error) || isTemporary(error)) throw error;
      throw new HearingRefusedError((error as Error).message, { cause: error });
    }
    tracked.prefixes = [...kept, ...missing];
    this.#hub.everythingChanged();
  }

  async #stop(): Promise<void> {
    const tracked = this.#current;
    if (tracked === undefined || tracked.prefixes.length === 0 || this.#hub.isHeeded) return;
    tracked.prefixes = [];
    await this.#send(TRACKING_OFF);
  }

  /** Whether or not there is room: it must not wait for what it is to bound. */
  #send(command: readonly string[]): Promise<unknown> {
    const { lane } = this.#link!;
    lane.inFlight += 1;
    const reply = this.#current!.client.sendCommand([...command]);
    const replied = (): void => lane.replied();
    reply.then(replied, replied);
    return reply;
  }

  /** Silent is a connection on which nothing at all is answered; one that is slow goes on. */
  #giveUpWhenSilent(link: SingleLink, deadlineMs: number): () => void {
    let replies = link.lane.replies;
    let cancel: () => void = ignore;
    let isOver = false;
    const judge = (): void => {
      if (isOver) return;
      if (link.lane.replies === replies) return link.distrust(new Error(`no answer within ${deadlineMs} ms`));
      replies = link.lane.replies;
      arm();
    };
    const arm = (): void => {
      // After a pause of this process timers run first, and what came meanwhile is read next.
      cancel = this.#clock.schedule(() => setImmediate(judge), deadlineMs);
    };
    arm();
    return () => {
      isOver = true;
      cancel();
    };
  }
}

const trackingOn = (prefixes: readonly string[]): string[] => ["CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP", ...prefixes.flatMap((prefix) => ["PREFIX", prefix])];
const TRACKING_OFF = ["CLIENT", "TRACKING", "OFF"];
/** Proves that the connection lives, and that it still tracks. */
const INFO_COMMAND: readonly string[] = ["CLIENT", "TRACKINGINFO"];
const PING: readonly string[] = ["PING"];

/** Of the reply to CLIENT TRACKINGINFO: a map, or its list after a RESET. */
function isTracking(reply: unknown): boolean {
  const flags = (reply as { readonly flags?: readonly unknown[] | ReadonlySet<unknown> }).flags;
  return flags !== undefined && Array.from(flags, String).includes("bcast");
}

const field = (info: unknown, name: string): string | undefined => new RegExp(`^${name}:(\\S+)`, "m").exec(String(info))?.[1];

/** `undefined` where the server answers with an error. */
async function unlessRefused(reply: Promise<unknown>): Promise<unknown> {
  try {
    return await reply;
  } catch (error) {
    if (isReply(error)) return undefined;
    throw error;
  }
}

const ignore = (): void => undefined;
