import { AsyncLocalStorage } from "node:async_hooks";
import type { Backend } from "@hotset/core";
import type { Instant, Removal } from "./history.ts";

export interface WatchedBackend {
  /** Runs one call of the cache. */
  during<T>(call: () => T): T;
  /** The lease of `key` that the call around this one has; `undefined` if it was not granted, or was given up. */
  leaseOf(key: string): WatchedLease | undefined;
}

/** A lease that was granted. */
export interface WatchedLease {
  readonly askedAt: Instant;
  givenUpAt?: Instant;
}

/**
 * Notes the commands of a backend that decide on leases: when each lease is asked for, taken over and given up, and
 * when entries and tag versions are invalidated, also by replays, which no call shows.
 *
 * @param removed receives each invalidation, and each takeover, when its answer has come.
 * @param failed receives each call that failed: of the event for that, a cache emits ten a second.
 */
export function watchBackend(
  backend: Backend,
  now: () => Instant,
  removed: (removal: Omit<Removal, "process">) => void,
  failed: (operation: string, error: unknown) => void,
): WatchedBackend {
  noteFailures(backend, ["read", "write", "remove", "markStale"], failed);
  noteFailures(backend.batch, ["read"], failed);
  noteFailures(backend.leases, ["acquire", "renew", "release", "store", "touch", "confirm"], failed);
  noteFailures(backend.tagVersions, ["read", "pin", "unchangedSince", "renew"], (_, error) =>
    failed(OF_VERSIONS, error),
  );
  /** By token, those that were not given up. */
  const granted = new Map<string, WatchedLease>();
  /** By key, the last lease that one call was granted. A flight is a part of the call that began it. */
  const calls = new AsyncLocalStorage<Map<string, WatchedLease>>();
  const note = <T>(answer: Promise<T>, of: Pick<Removal, "key" | "takesLease"> = {}): Promise<T> => {
    const from = now();
    const end = (): void => removed({ from, to: now(), ...of });
    answer.then(end, end);
    return answer;
  };
  const remove = backend.remove.bind(backend);
  backend.remove = (key) => note(remove(key), { key: nameOf(key) });
  const { leases, tagVersions } = backend;
  if (tagVersions !== undefined) {
    const renew = tagVersions.renew.bind(tagVersions);
    tagVersions.renew = (tags, mode) => note(renew(tags, mode));
  }
  if (leases !== undefined) {
    const acquire = leases.acquire.bind(leases);
    const release = leases.release.bind(leases);
    leases.acquire = (request) => {
      const { key, token, seen } = request;
      const lease = { askedAt: now() };
      const leasesOfCall = calls.getStore();
      const answer = acquire(request);
      if (seen === TAKE_OVER) void note(answer, { key: nameOf(key), takesLease: true });
      answer.then((reply) => {
        if (!reply.granted) return;
        granted.set(token, lease);
        leasesOfCall?.set(nameOf(key), lease);
      }, ignore);
      return answer;
    };
    leases.release = (key, token) => {
      const lease = granted.get(token);
      if (lease !== undefined) lease.givenUpAt = now();
      granted.delete(token);
      return release(key, token);
    };
  }
  return {
    during: (call) => calls.run(new Map(), call),
    leaseOf: (key) => {
      const lease = calls.getStore()?.get(key);
      return lease?.givenUpAt === undefined ? lease : undefined;
    },
  };
}

/** The operation of a failed call that concerns tag versions, as core names it. */
export const OF_VERSIONS = "tags";

/** The value of `seen` by which `acquire` takes a lease over. */
const TAKE_OVER = "*";

const nameOf = (backendKey: string): string => backendKey.slice(backendKey.lastIndexOf(":") + 1);
const ignore = (): void => undefined;

type Call = (...args: unknown[]) => Promise<unknown>;

function noteFailures<T extends object>(
  part: T | undefined,
  names: readonly (keyof T & string)[],
  failed: (operation: string, error: unknown) => void,
): void {
  for (const name of names) {
    const call = part?.[name] as Call | undefined;
    if (call === undefined) continue;
    const noted: Call = (...args) => {
      const answer = call.apply(part, args);
      answer.catch((error: unknown) => failed(name, error));
      return answer;
    };
    Object.assign(part!, { [name]: noted });
  }
}
