import type { Clock, DeleteStatus, LeaseReply, LeaseRequest, StoredEntry, TagVersion, TagVersions } from "@hotset/core";

/**
 * The store shared by a {@link scriptedBackend} and its peers. A test can inspect it, and change it like another
 * program, such as `redis-cli`. Its methods are not recorded as calls and use no steps; changes are reported like any
 * other change. Calls throw nothing.
 */
export interface ScriptedStore {
  /** Keys of entries whose life is not over, oldest write first. */
  keys(): string[];
  /** The entry, with the life that is left; `undefined` once that has ended. */
  get(key: string): StoredEntry | undefined;
  /** A lease on `key` stays: other programs do not know leases. */
  set(key: string, entry: StoredEntry): void;
  /** Deletes an entry as a foreign program does: a lease on `key` stays. Reported if there was an entry. */
  delete(key: string): boolean;
  /** Removes all entries, leases, tag versions and issuers of versions. */
  clear(): void;
  /** The token that holds the lease on `key`. */
  leaseHolder(key: string): string | undefined;
  /** Ends the lease on `key` as if its time were over: without a report. */
  expireLease(key: string): void;
  /** The version of a tag, as it was issued; `undefined` without one. */
  tagVersion(tag: string): TagVersion | undefined;
  /** Removes the version of `tag`, like a store that is short of memory. */
  evictTag(tag: string): void;
  /** Removes the issuers of versions, without a report: the next versions begin with a new issuer id. */
  evictIssuer(): void;
  /**
   * Saves entries, leases, tag versions and issuers of versions.
   *
   * @returns a function that restores exactly these, without a report, like a store that restarts from a snapshot.
   */
  snapshot(): () => void;
}

/** Notified of each change, right after it. `by` is the listener of the process that made it. */
export interface StoreListener {
  changed(keys: readonly string[], by: StoreListener | undefined): void;
  /** The lease of these entries ended. */
  leaseChanged(keys: readonly string[], by: StoreListener | undefined): void;
  tagsChanged(tags: readonly string[], by: StoreListener | undefined): void;
  everythingChanged(): void;
}

interface HeldEntry {
  readonly data: Uint8Array;
  readonly meta: string;
  readonly staleAt: number;
  readonly deadAt: number;
  readonly version: string | undefined;
}

interface Lease {
  readonly token: string;
  readonly endsAt: number;
}

interface Issuer {
  readonly id: string;
  n: number;
  /** By tag, the last number that renewed it. */
  readonly renewed: Map<string, number>;
}

/**
 * Entries, leases and tag versions of one store. Every method is one atomic step; `by` is the process that calls it.
 * Steps that free a lease or may have changed an entry are reported; acquiring and renewing a lease are not,
 * unless an entry that has ended is removed.
 */
export class MemoryStore implements ScriptedStore {
  readonly listeners: Set<StoreListener> = new Set();
  readonly #clock: Clock;
  readonly #entries = new Map<string, HeldEntry>();
  readonly #leases = new Map<string, Lease>();
  readonly #tags = new Map<string, TagVersion>();
  readonly #issuers = new Map<string, Issuer>();
  #issued = 0;
  #markedStale = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  keys(): string[] {
    return [...this.#entries.keys()].filter((key) => this.#alive(key) !== undefined);
  }

  get(key: string): StoredEntry | undefined {
    const entry = this.#alive(key);
    if (entry === undefined) return undefined;
    const now = this.#clock.now();
    return {
      data: entry.data.slice(),
      staleInMs: Math.floor(entry.staleAt - now),
      expiresInMs: Math.max(1, Math.floor(entry.deadAt - now)),
      meta: entry.meta,
      ...(entry.version !== undefined && { version: entry.version }),
    };
  }

  set(key: string, entry: StoredEntry): void {
    this.#put(key, entry);
    this.#report([key], undefined);
  }

  delete(key: string): boolean {
    const wasThere = this.#alive(key) !== undefined && this.#entries.delete(key);
    if (wasThere) this.#report([key], undefined);
    return wasThere;
  }

  clear(): void {
    for (const held of [this.#entries, this.#leases, this.#tags, this.#issuers]) held.clear();
    for (const listener of this.listeners) listener.everythingChanged();
  }

  leaseHolder(key: string): string | undefined {
    return this.#lease(key)?.token;
  }

  expireLease(key: string): void {
    this.#leases.delete(key);
  }

  tagVersion(tag: string): TagVersion | undefined {
    return this.#tags.get(tag);
  }

  evictTag(tag: string): void {
    if (this.#tags.delete(tag)) this.#reportTags([tag], undefined);
  }

  evictIssuer(): void {
    this.#issuers.clear();
  }

  snapshot(): () => void {
    const entries = new Map(this.#entries);
    const leases = new Map(this.#leases);
    const tags = new Map(this.#tags);
    const issuers = copyOf(this.#issuers);
    return () => {
      replace(this.#entries, entries);
      replace(this.#leases, leases);
      replace(this.#tags, tags);
      replace(this.#issuers, copyOf(issuers));
    };
  }

  /** `''` for no entry, `-` for one without a version. */
  version(key: string): string {
    const entry = this.#alive(key);
    return entry === undefined ? "" : (entry.version ?? "-");
  }

  write(key: string, entry: StoredEntry, by: StoreListener): void {
    this.#leases.delete(key);
    this.#put(key, entry);
    this.#report([key], by);
  }

  /** Reported even if there was no entry: a lease on it may have been freed, or another process may hold a copy. */
  remove(key: string, by: StoreListener): DeleteStatus {
    this.#leases.delete(key);
    const wasThere = this.#alive(key) !== undefined && this.#entries.delete(key);
    this.#report([key], by);
    return wasThere ? "deleted" : "missing";
  }

  /** A lease on it stays. */
  touch(key: string, seen: string, life: Omit<StoredEntry, "data" | "version">, by: StoreListener): boolean {
    const entry = this.get(key);
    if (entry === undefined || this.version(key) !== seen) return false;
    this.#put(key, { ...entry, ...life });
    this.#report([key], by);
    return true;
  }

  /** The stale window begins now, and ends no later than the entry would have. The entry gets a new version. */
  markStale(key: string, by: StoreListener): "stale" | "missing" {
    this.#leases.delete(key);
    const entry = this.#alive(key);
    if (entry !== undefined) {
      const now = this.#clock.now();
      const windowMs = entry.staleAt === Infinity ? 0 : entry.deadAt - entry.staleAt;
      const version = entry.version && `stale-${(this.#markedStale += 1)}`;
      this.#entries.set(key, {
        ...entry,
        staleAt: Math.min(entry.staleAt, now),
        deadAt: Math.min(entry.deadAt, now + windowMs),
        version,
      });
    }
    this.#report([key], by);
    return entry === undefined ? "missing" : "stale";
  }

  /** @param seen `'*'` takes the lease over. An entry that has ended for the caller is removed, which is reported. */
  acquire({ key, token, leaseMs, seen, isOver = false }: LeaseRequest, by: StoreListener): LeaseReply {
    const version = this.version(key);
    if (seen !== "*") {
      if (version !== "" && version !== seen) return { granted: false, entry: { ...this.get(key)!, version } };
      const lease = this.#lease(key);
      if (lease !== undefined) return { granted: false, heldForMs: Math.ceil(lease.endsAt - this.#clock.now()) };
    }
    this.#leases.set(key, { token, endsAt: this.#clock.now() + leaseMs });
    if (!isOver || seen !== version || version === "" || version === "-") return { granted: true, version };
    this.#entries.delete(key);
    this.#report([key], by);
    return { granted: true, version: "" };
  }

  renewLease(key: string, token: string, leaseMs: number): boolean {
    if (this.leaseHolder(key) !== token) return false;
    this.#leases.set(key, { token, endsAt: this.#clock.now() + leaseMs });
    return true;
  }

  release(key: string, token: string, by: StoreListener): void {
    if (this.leaseHolder(key) !== token) return;
    this.#leases.delete(key);
    this.#reportLease(key, by);
  }

  store(key: string, token: string, seen: string, entry: StoredEntry, by: StoreListener): boolean {
    if (this.leaseHolder(key) !== token) return false;
    if (this.version(key) !== seen) {
      this.#leases.delete(key);
      this.#report([key], by);
      return false;
    }
    this.write(key, entry, by);
    this.#reportLease(key, by);
    return true;
  }

  pin(tags: readonly string[], by: StoreListener): { readonly at: string; readonly versions: readonly TagVersion[] } {
    const at = this.#at(tags);
    const missing = tags.filter((tag) => !this.#tags.has(tag));
    for (const tag of missing) this.#tags.set(tag, { hard: at, soft: at });
    this.#reportTags(missing, by);
    return { at, versions: tags.map((tag) => this.#tags.get(tag)!) };
  }

  /** As its issuer remembers it. A missing version is still issued, so that the next load finds it. */
  unchangedSince(at: string, tags: readonly string[], by: StoreListener): readonly (TagVersion | undefined)[] {
    const { versions } = this.pin(tags, by);
    if (tags.length === 0 || idOf(this.#at(tags)) !== idOf(at)) return tags.map(() => undefined);
    const { renewed } = this.#issuer(tags);
    return versions.map((version, i) => ((renewed.get(tags[i]!) ?? 0) <= numberOf(at) ? version : undefined));
  }

  renewTags(tags: readonly string[], mode: Parameters<TagVersions["renew"]>[1], by: StoreListener): void {
    if (tags.length === 0) return;
    const issuer = this.#issuer(tags);
    issuer.n += 1;
    const version = this.#at(tags);
    for (const tag of tags) issuer.renewed.set(tag, issuer.n);
    for (const tag of tags) {
      const before = mode === "hard" ? undefined : this.#tags.get(tag);
      this.#tags.set(tag, { hard: before?.hard ?? version, soft: version });
    }
    this.#reportTags(tags, by);
  }

  /** Refuses a write like a store that is out of memory: the leases and the older entries are removed. */
  refuse(keys: readonly string[], by: StoreListener): void {
    for (const key of keys) this.remove(key, by);
  }

  #put(key: string, entry: StoredEntry): void {
    const now = this.#clock.now();
    this.#entries.delete(key);
    this.#entries.set(key, {
      data: entry.data.slice(),
      meta: entry.meta,
      staleAt: now + entry.staleInMs,
      deadAt: now + entry.expiresInMs,
      version: entry.version,
    });
  }

  #reportLease(key: string, by: StoreListener): void {
    for (const listener of this.listeners) listener.leaseChanged([key], by);
  }

  #report(keys: readonly string[], by: StoreListener | undefined): void {
    for (const listener of this.listeners) listener.changed(keys, by);
  }

  #reportTags(tags: readonly string[], by: StoreListener | undefined): void {
    if (tags.length !== 0) for (const listener of this.listeners) listener.tagsChanged(tags, by);
  }

  #alive(key: string): HeldEntry | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.deadAt > this.#clock.now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  #lease(key: string): Lease | undefined {
    const lease = this.#leases.get(key);
    if (lease !== undefined && lease.endsAt > this.#clock.now()) return lease;
    this.#leases.delete(key);
    return undefined;
  }

  #at(tags: readonly string[]): string {
    const issuer = this.#issuer(tags);
    return `${issuer.id}.${issuer.n}`;
  }

  /** One issuer for each cache, whose tags share a hash tag, `{~shop}`. Issuer ids are never reused. */
  #issuer(tags: readonly string[]): Issuer {
    const [tag = ""] = tags;
    const name = tag.slice(0, tag.indexOf("}") + 1);
    let issuer = this.#issuers.get(name);
    if (issuer === undefined) {
      this.#issued += 1;
      issuer = { id: `issuer${this.#issued}`, n: 0, renewed: new Map() };
      this.#issuers.set(name, issuer);
    }
    return issuer;
  }
}

function replace<V>(map: Map<string, V>, by: ReadonlyMap<string, V>): void {
  map.clear();
  for (const [key, value] of by) map.set(key, value);
}

const copyOf = (issuers: ReadonlyMap<string, Issuer>): Map<string, Issuer> =>
  new Map([...issuers].map(([name, { id, n, renewed }]) => [name, { id, n, renewed: new Map(renewed) }]));

const idOf = (version: string): string => version.slice(0, version.lastIndexOf("."));
const numberOf = (version: string): number => Number(version.slice(version.lastIndexOf(".") + 1));
