import { BackendUnavailableError, type Clock } from "@hotset/core";
import type { Backoff } from "../primitives/backoff.ts";
import { systemClock } from "../primitives/clock.ts";
import type { Origin } from "../primitives/faults.ts";
import type { ChangeNotifier } from "./change-notifier.ts";
import { CommandQueue, type Command, type RawClient } from "./command-queue.ts";

/** What a backend asks of its connection, whatever the topology. */
export interface Link {
  /** Where calls go. While `lane.hasRoom`, they go straight to `lane.client`. */
  readonly queue: CommandQueue;
  /** Those who hear of changes from the servers themselves. `undefined` where these cannot tell. */
  readonly tracking?: ChangeNotifier | undefined;
  /** The link on which changes are heard, where it is another. */
  readonly listening?: Link;
  /** Whether changes need not be announced: where that is dear, and whoever listens tracks. */
  readonly isTrackedByAll?: boolean;
  /** Whether reads may be answered by replicas while nobody listens. */
  readonly readsFromReplicas?: boolean;
  /** Those who hear of changes from whoever makes them. */
  readonly channel?: ChangeNotifier | undefined;
  /** Sends a call that could not go straight: later, or never. */
  admit<T>(call: Command<T>, send: (client: RawClient) => void): void;
  /** Tells that another connection may answer better: this one leads to a replica. */
  distrust(error: Error): void;
  /** Connects now. @throws {BackendUnavailableError} when this attempt fails. */
  connect(): Promise<void>;
  /** Lets calls in flight finish, then lets go of what it opened. Later calls are refused. Idempotent. */
  close(): Promise<void>;
}

/** A link, and how to let go of it. */
export interface Hold {
  readonly link: Link;
  /** Closes the link when nobody else holds it. Idempotent. */
  release(): Promise<void>;
}

export interface LinkSettings {
  readonly clock: Clock;
  /** In [0, 1), for back-off. */
  readonly random: () => number;
  readonly responseTimeoutMs: number;
  readonly maxInFlight: number;
  readonly backoff: Backoff;
  /** Failed attempts in a row before giving up until the next call. */
  readonly retries: number;
}

/** What calls fail with that are made after `close`. */
export const closed = (origin: Origin): BackendUnavailableError =>
  new BackendUnavailableError(`${origin.tier}: ${origin.operation} was refused: this backend was closed`, {
    ...origin,
    retryable: false,
    maybeExecuted: false,
  });

/** What a closed backend calls, so that the open ones need not ask whether they are. */
export const closedLink: Link = {
  queue: new CommandQueue({ clock: systemClock, deadlineMs: 1_000, maxInFlight: 1 }),
  admit: (call) => call.fail(closed(call.origin)),
  distrust: () => undefined,
  connect: () => Promise.reject(closed(CONNECT)),
  close: () => Promise.resolve(),
};

/** Who asks when nobody in particular does. */
export const CONNECT: Origin = Object.freeze({ tier: "redis", operation: "connect" });

/** Sends one command that is no backend's call, and gives back the bare reply or error. */
export function send(link: Link, origin: Origin, args: (string | Buffer)[]): Promise<unknown> {
  const { queue } = link;
  const call = queue.begin<unknown>(origin);
  const start = (client: RawClient): void => call.exchange(client, args);
  if (queue.hasRoom) start(queue.client!);
  else link.admit(call, start);
  return call.promise;
}

/** Resolves when nothing is in flight, at the latest after a deadline: by then every call has settled. */
export function drained(
  queue: CommandQueue,
  settings: Pick<LinkSettings, "clock" | "responseTimeoutMs">,
): Promise<void> {
  if (queue.inFlight === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const cancel = settings.clock.schedule(resolve, settings.responseTimeoutMs);
    queue.onIdle = () => {
      cancel();
      resolve();
    };
  });
}
