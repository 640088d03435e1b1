import type { Clock, LeaseReply, LeaseRequest, Leases, StoredEntry, TagVersions } from "@hotset/core";
import { within } from "@hotset/core/internal";
import { ignore } from "../ignore.ts";
import type { Found, Side } from "../side.ts";
import type { Asked, LastChanges } from "./last-changes.ts";
import { lentEntry, readLent } from "./lent-entry.ts";
import type { Phases } from "./phases.ts";

interface GutterStoreOf {
  readonly small: Side;
  readonly phases: Phases;
  readonly changes: LastChanges;
  readonly clock: Clock;
  readonly ttlMs: number;
}

type Life = Parameters<Leases["touch"]>[2];

/**
 * The entries of the gutter. Each was stored under a lease of the gutter, ends after `ttl`, and is not served if its
 * load may be older than a change by this process: then it is removed, which ends a lease on it, too.
 */
export class GutterStore {
  readonly #of: GutterStoreOf;
  /** Lists of tags that are renewed here. A list that comes again is a replay, and of nothing new. */
  readonly #renewed = new WeakSet<readonly string[]>();

  constructor(of: GutterStoreOf) {
    this.#of = of;
  }

  /** An error of main in place of each entry that cannot be served now. Never rejects. */
  read(keys: readonly string[]): Promise<readonly Found[]> {
    const { clock, small, phases } = this.#of;
    return within(clock, small.deadlineMs, this.#read(keys), () => keys.map(() => phases.error));
  }

  async #read(keys: readonly string[]): Promise<readonly Found[]> {
    const { small, phases, changes } = this.#of;
    const phase = phases.now;
    const asked = changes.asking();
    const found = phase.of === "main" ? [] : await small.read(keys);
    const served = await Promise.all(
      keys.map(async (key, i): Promise<Found> => {
        const stored = found[i];
        if (stored === undefined || stored instanceof Error) return stored && phases.error;
        return this.#served(key, stored, asked).catch(() => phases.error);
      }),
    );
    return phases.now === phase && phase.of === "gutter" ? served : keys.map(() => phases.error);
  }

  acquire(request: LeaseRequest): Promise<LeaseReply> {
    const { clock, small, phases } = this.#of;
    const { key, token } = request;
    const asking = this.#acquire(request);
    return within(clock, small.deadlineMs, asking, () => {
      asking.then(({ granted }) => (granted ? this.release(key, token) : undefined)).catch(ignore);
      throw phases.error;
    });
  }

  async #acquire(request: LeaseRequest): Promise<LeaseReply> {
    const { key } = request;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const asked = this.#of.changes.asking();
      const answer = await this.#call("lease", key, (leases) => leases.acquire(request));
      if (!("entry" in answer)) return answer;
      const entry = await this.#served(key, answer.entry, asked);
      if (entry !== undefined) return { granted: false, entry };
    }
    throw this.#of.phases.error;
  }

  renew(...request: Parameters<Leases["renew"]>): Promise<boolean> {
    return this.#call("lease", request[0], (leases) => leases.renew(...request));
  }

  release(...request: Parameters<Leases["release"]>): Promise<void> {
    return this.#call("lease", request[0], (leases) => leases.release(...request));
  }

  confirm(key: string): Promise<string> {
    return this.#call("lease", key, (leases) => leases.confirm(key));
  }

  /** @param askedAt `clock.now()` when the lease was asked for. */
  store(
    lease: { readonly key: string; readonly token: string; readonly askedAt: number },
    seen: string,
    entry: StoredEntry,
  ): Promise<boolean> {
    const { key, token, askedAt } = lease;
    return this.#call("write", key, (leases) =>
      leases.store(key, token, seen, lentEntry(entry, this.#of.ttlMs, this.#sinceMs(askedAt))),
    );
  }

  /** @param askedAt as in {@link store}. */
  touch(key: string, seen: string, life: Life, askedAt: number): Promise<boolean> {
    const { staleInMs, expiresInMs, meta } = lentEntry(
      { ...life, data: NO_DATA },
      this.#of.ttlMs,
      this.#sinceMs(askedAt),
    );
    return this.#call("write", key, (leases) => leases.touch(key, seen, { staleInMs, expiresInMs, meta }));
  }

  /** @returns whether nothing from before now is left. Never rejects. */
  async remove(key: string): Promise<boolean> {
    const { small, changes } = this.#of;
    const removed = changes.removing(key);
    try {
      await small.call("remove", key, () => small.backend.remove(key));
    } catch {
      return false;
    }
    removed();
    return true;
  }

  /** Invalidates these tags, like {@link remove} does for a key. */
  async renewTags(...[tags, mode]: Parameters<TagVersions["renew"]>): Promise<boolean> {
    const { small } = this.#of;
    if (this.#renewed.has(tags)) return true;
    try {
      await small.call("tags", tags[0], () => small.backend.tagVersions!.renew(tags, mode));
    } catch {
      return false;
    }
    this.#renewed.add(tags);
    return true;
  }

  /** The entry, unless it is older than a change by this process. */
  async #served(key: string, stored: StoredEntry, asked: Asked): Promise<StoredEntry | undefined> {
    const { changes, phases } = this.#of;
    const lent = readLent(stored);
    const begunAt = lent === undefined ? -Infinity : asked.at + stored.expiresInMs - lent.spanMs;
    switch (lent === undefined ? "older" : changes.judge(key, begunAt, asked)) {
      case "newer":
        return lent!.entry;
      case "changing":
        throw phases.error;
      case "older":
        if (!(await this.remove(key))) throw phases.error;
        return undefined;
    }
  }

  /** A call that was given up may still arrive, about as late as it was given up. */
  #sinceMs(askedAt: number): number {
    const { clock, small } = this.#of;
    return clock.now() - askedAt + small.deadlineMs;
  }

  #call<T>(operation: string, key: string, run: (leases: Leases) => Promise<T>): Promise<T> {
    const { small } = this.#of;
    return small.call(operation, key, () => run(small.backend.leases!));
  }
}

const NO_DATA = new Uint8Array();
/** To take a lease over an entry that is older: it is removed first, and another process may store one meanwhile. */
const ATTEMPTS = 3;
