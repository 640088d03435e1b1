import type { DeleteStatus, Leases, StoredEntry, TagVersion } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";

/**
 * What {@link scriptedBackend}s hold together, for looking at and for playing a program that is none of them, such as
 * `redis-cli`. Records no call and obeys no step; what it changes is heard like any other change.
 */
export interface ScriptedStore {
  /** Of entries whose life is not over, oldest write first. */
  keys(): string[];
  get(key: string): StoredEntry | undefined;
  /** A lease on `key` stays: whoever wrote knows of none. */
  set(key: string, entry: StoredEntry): void;
  /** As `set`. Heard where there was an entry. */
  delete(key: string): boolean;
  /** Forgets entries, leases, tag versions and what issues them. */
  clear(): void;
  /** The token that holds the lease on `key`. */
  leaseHolder(key: string): string | undefined;
  /** Ends the lease on `key` as its time would: nobody hears of it. */
  expireLease(key: string): void;
  tagVersion(tag: string): TagVersion | undefined;
  /** Forgets the version of `tag`, as a store does that is short of memory. */
  evictTag(tag: string): void;
  /** Forgets what issues versions: the next ones have another beginning. Nobody hears of it. */
  evictIssuer(): void;
  /** Remembers entries, leases, tag versions and what issues them. @returns what brings them back, and them alone, as a store does that starts again from a snapshot: nobody hears of it. */
  snapshot(): () => void;
}

/** Told of each change, right after it. */
export interface Hearer {
  changed(keys: readonly string[], by: Hearer | undefined): void;
  tagsChanged(tags: readonly string[], by: Hearer | undefined): void;
  everythingChanged(): void;
}

interface Held {
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
}

/**
 * Entries, leases and tag versions of one store. Every method is one atomic step; `by` is who takes it. Whatever frees a
 * lease, or may have changed an entry, is heard; taking and renewing a lease is not.
 */
export class HeldStore implements ScriptedStore {
  readonly hearers: Set<Hearer> = new Set();
  readonly #clock: Clock;
  readonly #entries = new Map<string, Held>();
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
    this.#heard([key], undefined);
  }

  delete(key: string): boolean {
    const wasThere = this.#alive(key) !== undefined && this.#entries.delete(key);
    if (wasThere) this.#heard([key], undefined);
    return wasThere;
  }

  clear(): void {
    for (const held of [this.#entries, this.#leases, this.#tags, this.#issuers]) held.clear();
    for (const hearer of this.hearers) hearer.everythingChanged();
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
    if (this.#tags.delete(tag)) this.#tagsHeard([tag], undefined);
  }

  evictIssuer(): void {
    this.#issuers.clear();
  }

  snapshot(): () => void {
    const entries = new Map(this.#entries);
    const leases = new Map(this.#leases);
    const tags = new Map(this.#tags);
    const issuers = new Map([...this.#issuers].map(([name, { id, n }]) => [name, { id, n }]));
    return () => {
      replace(this.#entries, entries);
      replace(this.#leases, leases);
      replace(this.#tags, tags);
      replace(this.#issuers, new Map([...issuers].map(([name, { id, n }]) => [name, { id, n }])));
    };
  }

  /** `''` for no entry, `-` for one without a version. */
  version(key: string): string {
    const entry = this.#alive(key);
    return entry === undefined ? "" : (entry.version ?? "-");
  }

  write(key: string, entry: StoredEntry, by: Hearer): void {
    this.#leases.delete(key);
    this.#put(key, entry);
    this.#heard([key], by);
  }

  /** Heard also where there was no entry: a lease on it may have been freed, or a copy of it may be held somewhere. */
  remove(key: string, by: Hearer): DeleteStatus {
    this.#leases.delete(key);
    const wasThere = this.#alive(key) !== undefined && this.#entries.delete(key);
    this.#heard([key], by);
    return wasThere ? "deleted" : "missing";
  }

  /** The stale window begins now, and ends no later than the entry would have. From now on it has another version. */
  markStale(key: string, by: Hearer): "stale" | "missing" {
    this.#leases.delete(key);
    const entry = this.#alive(key);
    if (entry !== undefined) {
      const now = this.#clock.now();
      const windowMs = entry.staleAt === Infinity ? 0 : entry.deadAt - entry.staleAt;
      const version = entry.version && `stale${(this.#markedStale += 1)}`;
      this.#entries.set(key, {
        ...entry,
        staleAt: Math.min(entry.staleAt, now),
        deadAt: Math.min(entry.deadAt, now + windowMs),
        version,
      });
    }
    this.#heard([key], by);
    return entry === undefined ? "missing" : "stale";
  }

  /** @param seen `'*'` takes the lease over. */
  acquire(key: string, token: string, leaseMs: number, seen: string): Awaited<ReturnType<Leases["acquire"]>> {
    const version = this.version(key);
    if (seen !== "*") {
      if (version !== "" && version !== seen) return { granted: false, entry: { ...this.get(key)!, version } };
      const lease = this.#lease(key);
      if (lease !== undefined) return { granted: false, heldForMs: Math.ceil(lease.endsAt - this.#clock.now()) };
    }
    this.#leases.set(key, { token, endsAt: this.#clock.now() + leaseMs });
    return { granted: true, version };
  }

  renewLease(key: string, token: string, leaseMs: number): boolean {
    if (this.leaseHolder(key) !== token) return false;
    this.#leases.set(key, { token, endsAt: this.#clock.now() + leaseMs });
    return true;
  }

  release(key: string, token: string, by: Hearer): void {
    if (this.leaseHolder(key) === token) this.#free(key, by);
  }

  store(key: string, token: string, seen: string, entry: StoredEntry, by: Hearer): boolean {
    if (this.leaseHolder(key) !== token) return false;
    if (this.version(key) !== seen) {
      this.#free(key, by);
      return false;
    }
    this.write(key, entry, by);
    return true;
  }

  pin(tags: readonly string[], by: Hearer): { readonly at: string; readonly versions: readonly TagVersion[] } {
    const at = this.#at(tags);
    const missing = tags.filter((tag) => !this.#tags.has(tag));
    for (const tag of missing) this.#tags.set(tag, { hard: at, soft: at });
    this.#tagsHeard(missing, by);
    return { at, versions: tags.map((tag) => this.#tags.get(tag)!) };
  }

  /** A missing one is issued all the same, so that the next load finds it. */
  unchangedSince(at: string, tags: readonly string[], by: Hearer): readonly (TagVersion | undefined)[] {
    const isNew = (version: string): boolean => idOf(version) === idOf(at) && numberOf(version) > numberOf(at);
    const now = this.#at(tags);
    const unchanged = tags.map((tag) => {
      const version = this.#tags.get(tag);
      return (
        idOf(now) === idOf(at) && (version === undefined ? now === at : !isNew(version.hard) && !isNew(version.soft))
      );
    });
    const { versions } = this.pin(tags, by);
    return versions.map((version, i) => (unchanged[i] ? version : undefined));
  }

  renewTags(tags: readonly string[], mode: "hard" | "soft", by: Hearer): void {
    if (tags.length === 0) return;
    const issuer = this.#issuer(tags);
    issuer.n += 1;
    const version = this.#at(tags);
    for (const tag of tags)
      this.#tags.set(tag, { hard: mode === "soft" ? (this.#tags.get(tag)?.hard ?? version) : version, soft: version });
    this.#tagsHeard(tags, by);
  }

  /** What a store leaves that has no memory for a write: neither the lease nor the older entry. */
  refuse(key: string, by: Hearer): void {
    this.remove(key, by);
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

  #free(key: string, by: Hearer): void {
    this.#leases.delete(key);
    this.#heard([key], by);
  }

  #heard(keys: readonly string[], by: Hearer | undefined): void {
    for (const hearer of this.hearers) hearer.changed(keys, by);
  }

  #tagsHeard(tags: readonly string[], by: Hearer | undefined): void {
    if (tags.length !== 0) for (const hearer of this.hearers) hearer.tagsChanged(tags, by);
  }

  #alive(key: string): Held | undefined {
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

  /** One for each cache: the tags of one share a hash tag, `{~shop}`. Each issuer has an id that no other ever had. */
  #issuer(tags: readonly string[]): Issuer {
    const [tag = ""] = tags;
    const name = tag.slice(0, tag.indexOf("}") + 1);
    let issuer = this.#issuers.get(name);
    if (issuer === undefined) {
      this.#issued += 1;
      issuer = { id: `issuer${this.#issued}`, n: 0 };
      this.#issuers.set(name, issuer);
    }
    return issuer;
  }
}

function replace<V>(map: Map<string, V>, by: ReadonlyMap<string, V>): void {
  map.clear();
  for (const [key, value] of by) map.set(key, value);
}

const idOf = (version: string): string => version.slice(0, version.lastIndexOf("."));
const numberOf = (version: string): number => Number(version.slice(version.lastIndexOf(".") + 1));
