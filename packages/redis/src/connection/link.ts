import { BackendUnavailableError, systemClock, type Clock, type Parts } from "@hotset/core";
import { scheduleRunning } from "@hotset/core/internal";
import type { Backoff } from "../primitives/backoff.ts";
import type { Origin } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import type { ChangeNotifier } from "./change-notifier.ts";
import { CommandQueue, type Command, type RawClient, type SendOptions } from "./command-queue.ts";

/** A backend sends its commands over a link, the same for every topology. */
export interface Link {
  /** Takes the commands. While `queue.hasRoom`, they are sent straight to `queue.client`. */
  readonly queue: CommandQueue;
  /** Reports changes that the servers push. `undefined` where they cannot push. */
  readonly tracking?: ChangeNotifier | undefined;
  /** The link on which changes are received, where it is another one. */
  readonly changesLink?: Link;
  /** The parts that keys of Redis are in, where there are several: the primaries of a cluster. */
  readonly parts?: Parts;
  /** Over a client of ioredis: it drops pushes, and whole numbers are never text. */
  readonly isIoRedis?: boolean;
  /** Whether a client of the user lacks what changes are received with. */
  readonly cannotSubscribe?: boolean;
  /** Over HTTP: commands may arrive late, and values travel through Lua in any case. */
  readonly isHttp?: boolean;
  /** The most bytes of an entry that the link can carry. @default any number */
  readonly maxEntryBytes?: number;
  /** Whether replicas may answer reads while there are no listeners. */
  readonly readsFromReplicas?: boolean;
  /** Reports changes that the clients which make them publish. */
  readonly channel?: ChangeNotifier | undefined;
  /** Takes a command that could not be sent straight: queues it, or fails it. */
  admit<T>(command: Command<T>, send: (client: RawClient) => void): void;
  /** A write was refused, since its server is a replica: another connection may lead to the primary. */
  leaveReplica(error: Error): void;
  /** Connects now. @throws {BackendUnavailableError} when this attempt fails. */
  connect(): Promise<void>;
  /**
   * Lets commands in flight finish, then closes the connections that it opened. Later commands are refused. Idempotent.
   */
  close(): Promise<void>;
}

/** A link whose state can be observed. */
export interface ObservableLink extends Link {
  /** RESP version of a client of the user, which decides it, and of HTTP. */
  readonly protocol?: 2 | 3;
  /**
   * `idle` before the first use, and after a connection was lost that was not in use. `down` after a failed attempt or
   * any other lost connection, until there is one again, also while it is being opened.
   */
  readonly state: "idle" | "connecting" | "up" | "down" | "closed";
  /** The parts that can be reached now; one without a name where there is one. */
  readonly reachableParts: readonly string[];
  /** Calls `listener` after each change of `state` to `up` or from it. @returns a function that ends this. */
  onChange(listener: () => void): () => void;
}

/** Calls `listener` with each part that can be reached, and could not. @returns a function that ends this. */
export function onReconnect(link: ObservableLink, listener: (part: string) => void): () => void {
  let reached = link.reachableParts;
  return link.onChange(() => {
    const before = reached;
    reached = link.reachableParts;
    for (const part of reached) if (!before.includes(part)) listener(part);
  });
}

/** The {@link ObservableLink.reachableParts} of a link without others. */
export const THE_ONE_PART: readonly string[] = Object.freeze([""]);

export interface LinkSettings {
  readonly clock: Clock;
  /** In [0, 1), for back-off. */
  readonly random: () => number;
  readonly responseTimeoutMs: number;
  readonly maxInFlight: number;
  /** @default 40 times `maxInFlight` */
  readonly maxWaiting?: number;
  readonly backoff: Backoff;
  /** Failed attempts in a row before giving up until the next call. */
  readonly retries: number;
  /** Host and port where it leads, if that is known before it is connected: for errors. */
  readonly address?: string | undefined;
  /**
   * When a lost connection is replaced. `used`: if it was lost while it was not in use, by the next call, which waits
   * for it. A server or a proxy that closes idle connections would close the next one, too. @default 'always'
   */
  readonly reconnects?: "always" | "used";
}

/** The error of commands after `close`. */
export const closed = (origin: Origin): BackendUnavailableError =>
  new BackendUnavailableError(`${origin.tier}: ${origin.operation} was refused: this backend was closed`, {
    ...origin,
    retryable: false,
    maybeExecuted: false,
  });

/** The link of a closed backend, so that open ones need not check on each command. */
export const closedLink: Link = {
  queue: new CommandQueue({ clock: systemClock, deadlineMs: 1_000, maxInFlight: 1 }),
  admit: (command) => command.fail(closed(command.origin)),
  leaveReplica: () => undefined,
  connect: () => Promise.reject(closed(CONNECT)),
  close: () => Promise.resolve(),
};

/** The origin of commands that no call of a backend has caused. */
export const CONNECT: Origin = Object.freeze({ tier: "redis", operation: "connect" });

/**
 * Sends one command that no call of a backend has caused. Settles with the bare reply or error.
 *
 * @param isAsking the slot is being moved to this node. ASKING applies to the next command only.
 */
export function send(
  link: Pick<Link, "queue" | "admit">,
  origin: Origin,
  args: readonly (string | Buffer)[],
  options?: SendOptions,
  isAsking = false,
): Promise<unknown> {
  const command = link.queue.begin<unknown>(origin, options?.deadlineMs);
  return deliver(link, command, (client) => {
    if (isAsking) {
      const asking = link.queue.begin<unknown>(origin);
      asking.promise.catch(ignore);
      asking.exchange(client, ["ASKING"]);
    }
    command.exchange(client, args, options);
  });
}

/** Sends commands to one server, one right after another. Settles with a reply or an error for each. */
export function sendBurst(
  link: Pick<Link, "queue" | "admit">,
  origin: Origin,
  commands: readonly (readonly (string | Buffer)[])[],
  options: SendOptions,
): Promise<readonly unknown[]> {
  const command = link.queue.begin<readonly unknown[]>(origin, options.deadlineMs);
  return deliver(link, command, (client) => command.exchangeAll(client, commands, options));
}

/** Now, or when the link has room. */
function deliver<T>(
  link: Pick<Link, "queue" | "admit">,
  command: Command<T>,
  start: (client: RawClient) => void,
): Promise<T> {
  if (link.queue.hasRoom) start(link.queue.client!);
  else link.admit(command, start);
  return command.promise;
}

/** Resolves when nothing is in flight, at the latest after a deadline: by then every command has settled. */
export function whenDrained(
  queue: CommandQueue,
  settings: Pick<LinkSettings, "clock" | "responseTimeoutMs">,
): Promise<void> {
  if (queue.inFlight === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const cancel = scheduleRunning(settings.clock, settings.responseTimeoutMs, resolve);
    queue.onIdle = () => {
      cancel();
      resolve();
    };
  });
}
