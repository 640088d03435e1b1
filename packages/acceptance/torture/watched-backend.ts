import type { Backend } from "@hotset/core";
import type { Instant, Removal } from "./history.ts";

export interface WatchedBackend {
  /** The instant at which this lease was asked for; `undefined` if it was never asked for, or was given up. */
  askedAt(token: string): Instant | undefined;
}

/**
 * Notes the commands of a backend that decide on leases: when each lease is asked for and given up, and when entries
 * and tag versions are invalidated, also by replays, which no call shows.
 *
 * @param removed receives each invalidation when its answer has come.
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
  noteFailures(backend.leases, ["acquire", "renew", "release", "store", "confirm"], failed);
  noteFailures(backend.tagVersions, ["read", "pin", "unchangedSince", "renew"], failed);
  const asked = new Map<string, Instant>();
  const note = <T>(answer: Promise<T>, key?: string): Promise<T> => {
    const from = now();
    const end = (): void => removed({ from, to: now(), ...(key !== undefined && { key }) });
    answer.then(end, end);
    return answer;
  };
  const remove = backend.remove.bind(backend);
  backend.remove = (key) => note(remove(key), key.slice(key.lastIndexOf(":") + 1));
  const { leases, tagVersions } = backend;
  if (tagVersions !== undefined) {
    const renew = tagVersions.renew.bind(tagVersions);
    tagVersions.renew = (tags, mode) => note(renew(tags, mode));
  }
  if (leases !== undefined) {
    const acquire = leases.acquire.bind(leases);
    const release = leases.release.bind(leases);
    leases.acquire = (key, token, leaseMs, seen) => {
      asked.set(token, now());
      return acquire(key, token, leaseMs, seen);
    };
    leases.release = (key, token) => {
      asked.delete(token);
      return release(key, token);
    };
  }
  return { askedAt: (token) => asked.get(token) };
}

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
