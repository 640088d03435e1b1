import type { Cache, Namespace } from "@hotset/core";
import { inNoCall, newId, type Barrier, type Clock, type EntryKey, type Internals } from "@hotset/core/internal";
import { placeOf } from "./changes.ts";

/** The namespace of the records. */
export const RECORDS = "~transactions";
const MEMBERS = "members";
/** How long a transaction holds what it changes; a longer one only makes its changes. */
const LONGEST_MS = 300_000;
/** More than this are recorded as everything. */
const MOST_THINGS = 1_000;
const EVERYTHING = "*";
/** The life of a record of nothing: so long is a process that died asked about. */
const IDLE_MS = 3_600_000;
const ATTEMPTS = 5;
const RESTORE_MS = 20;

/** What one transaction holds. */
export interface Hold {
  readonly things: Set<string>;
  readonly since: number;
}

/**
 * Keys and tags that open transactions are about to change, in all processes of a cache. Each process with transactions
 * keeps one record, an entry like any other, and a list of such processes is another one. A record has a
 * life: that of a process that died ends with it. Other processes have copies of the records, which the coherence of the
 * cache ends when they change, so a load asks no server unless a transaction has begun or ended since the last one.
 *
 *     noted ──▶ held here ──record written──▶ held everywhere ──commit, changes acknowledged; or rollback──▶ gone
 */
export class OpenChanges implements Barrier {
  readonly #space: Namespace<readonly string[]>;
  readonly #internals: Internals;
  readonly #prefix: string;
  readonly #localPrefix: string;
  readonly #clock: Clock;
  readonly #lifeMs: number;
  readonly #id: string = newId();
  readonly #holds = new Set<Hold>();
  readonly #sets = new WeakMap<readonly string[], ReadonlySet<string>>();
  /** How many holds there are of a thing. */
  readonly #counts = new Map<string, number>();
  #revision = 0;
  /** The revisions that were sent, and acknowledged. */
  #sent = 0;
  #written = 0;
  #writing: Promise<boolean> = Promise.resolve(true);
  #next: Promise<boolean> | undefined;
  #stopTimer: (() => void) | undefined;
  readonly #stopListening: () => void;
  #isClosed = false;

  constructor(cache: Cache, lifeMs: number) {
    this.#internals = internalsOf(cache);
    const policy = { ttl: lifeMs, staleWhileRevalidate: 0, staleIfError: 0, jitter: 0 } as const;
    const space = cache.namespace(RECORDS, this.#isReported ? policy : { ...policy, localTtl: 0 });
    this.#space = space as Namespace<readonly string[]>;
    const { keySpace, clock } = placeOf(space);
    this.#prefix = keySpace.backendPrefix;
    this.#localPrefix = keySpace.localPrefix;
    this.#clock = clock;
    this.#lifeMs = lifeMs;
    // A clear of the cache, by any process, ends the records too.
    this.#stopListening = cache.on("invalidate", ({ scope }) => {
      if (scope === "namespace" && this.#counts.size > 0) void this.#restore();
    });
  }

  begin(): Hold {
    const hold = { things: new Set<string>(), since: this.#clock.now() };
    this.#holds.add(hold);
    return hold;
  }

  /** From this turn on for this process; {@link stands} says when for the others. */
  add(hold: Hold, thing: string): void {
    if (!this.#holds.has(hold) || hold.things.has(thing)) return;
    hold.things.add(thing);
    this.#counts.set(thing, (this.#counts.get(thing) ?? 0) + 1);
    this.#revision += 1;
    void this.#write();
  }

  /** Resolves once the record of all that was added is written: `false` if the backend does not take it. */
  async stands(): Promise<boolean> {
    if (this.#written >= this.#revision) return true;
    return this.#sent >= this.#revision ? this.#writing : this.#write();
  }

  async end(hold: Hold): Promise<void> {
    if (!this.#remove(hold) || hold.things.size === 0) return;
    await this.#write();
  }

  bars(key: EntryKey, dependsOn: readonly string[]): boolean | Promise<boolean> {
    if (key.backend.startsWith(this.#prefix)) return false;
    if (this.#counts.size > 0 && isOf(this.#counts, key.backend, dependsOn)) return true;
    if (!this.#isShared) return false;
    const members = this.#copy(MEMBERS);
    if (members === undefined) return this.#ask(key.backend, dependsOn);
    for (const id of members) {
      if (id === this.#id) continue;
      const things = this.#copy(id);
      if (things === undefined) return this.#ask(key.backend, dependsOn);
      if (this.#isIn(things, key.backend, dependsOn)) return true;
    }
    return false;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopListening();
    this.#stopTimer?.();
    await this.#writing;
    if (this.#isShared && this.#written > 0) await this.#space.delete(this.#id);
  }

  get #isShared(): boolean {
    return this.#internals.backend !== undefined && this.#internals.backend.coherence !== "sole-writer";
  }

  /** Without reports of changes a copy says nothing of what other processes have done since. */
  get #isReported(): boolean {
    return typeof this.#internals.backend?.coherence === "object";
  }

  /** The value of a copy that may be served now. It is no call of the cache, so it is not counted as a hit. */
  #copy(name: string): readonly string[] | undefined {
    if (!this.#isReported) return undefined;
    const now = this.#clock.now();
    const entry = this.#internals.context.local?.get(this.#localPrefix + name, now);
    return entry !== undefined && now < entry.staleAt ? (entry.value as readonly string[]) : undefined;
  }

  #isIn(things: readonly string[], name: string, dependsOn: readonly string[]): boolean {
    if (things.length === 0) return false;
    let set = this.#sets.get(things);
    if (set === undefined) this.#sets.set(things, (set = new Set(things)));
    return set.has(EVERYTHING) || isOf(set, name, dependsOn);
  }

  /** Reads records that have no copy. Where the backend does not answer nothing is held: nothing is stored there. */
  #ask(name: string, dependsOn: readonly string[]): Promise<boolean> {
    return inNoCall(async () => {
      try {
        const members = await this.#read(MEMBERS);
        if (members === undefined) {
          // So that the next load finds it.
          if (await this.#isAnswered(MEMBERS)) await this.#change((all) => all);
          return false;
        }
        const others = members.filter((id) => id !== this.#id);
        const records = await Promise.all(others.map(async (id) => ({ id, things: await this.#read(id) })));
        const gone = records.filter(({ things }) => things === undefined).map(({ id }) => id);
        if (gone.length > 0) void this.#forget(gone).catch(ignore);
        // A bound of memory may have taken it from another process meanwhile.
        return records.some(({ things }) => things !== undefined && this.#isIn(things, name, dependsOn));
      } catch {
        // The cache is closed.
        return false;
      }
    });
  }

  #read(name: string): Promise<readonly string[] | undefined> {
    return this.#space.get(name);
  }

  /** Whether the backend answers, so that it has none: `get` does not tell that from an outage. */
  async #isAnswered(name: string): Promise<boolean> {
    try {
      await this.#internals.backend!.read(this.#prefix + name);
      return true;
    } catch {
      return false;
    }
  }

  /** A process that died, or that closed its cache. */
  async #forget(ids: readonly string[]): Promise<void> {
    const answers = await Promise.all(ids.map((id) => this.#isAnswered(id)));
    const gone = new Set(ids.filter((_, i) => answers[i]));
    if (gone.size > 0) await this.#change((all) => all.filter((id) => !gone.has(id)));
  }

  /** Compare and set. */
  async #change(to: (members: readonly string[]) => readonly string[]): Promise<boolean> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      // A layout without room for tags has no fences: the next record that is written mends what is lost.
      const since = await this.#space.fence(MEMBERS).catch(ignore);
      const members = (await this.#space.get(MEMBERS)) ?? [];
      const { status } = await this.#space.set(MEMBERS, to(members), { ttl: FOREVER_MS, ...(since && { since }) });
      if (status === "stored") return true;
      if (status === "pending") return false;
    }
    return false;
  }

  /** One at a time; what is added while one is written goes into the next one. */
  #write(): Promise<boolean> {
    if (!this.#isShared) {
      this.#written = this.#revision;
      return Promise.resolve(true);
    }
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined;
      return (this.#writing = inNoCall(() => this.#writeNow()));
    });
    return this.#next;
  }

  async #writeNow(): Promise<boolean> {
    const revision = this.#revision;
    this.#sent = revision;
    const things = this.#counts.size > MOST_THINGS ? [EVERYTHING] : [...this.#counts.keys()];
    this.#renewLater(things.length > 0);
    try {
      const { status } = await this.#space.set(this.#id, things, { ttl: things.length > 0 ? this.#lifeMs : IDLE_MS });
      const isStored = status === "stored" && (await this.#isMember());
      if (isStored) this.#written = revision;
      return isStored;
    } catch {
      // The cache is closed.
      return false;
    }
  }

  /** What is written next to the clear may be older than it. */
  async #restore(): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS && !this.#isClosed; attempt += 1) {
      await this.#write();
      const isThere = await this.#read(this.#id).catch(ignore);
      if (isThere !== undefined) return;
      await new Promise<void>((resolve) => void this.#clock.schedule(resolve, RESTORE_MS));
    }
  }

  async #isMember(): Promise<boolean> {
    const members = this.#copy(MEMBERS) ?? (await this.#read(MEMBERS));
    if (members?.includes(this.#id) === true) return true;
    if (members === undefined && !(await this.#isAnswered(MEMBERS))) return false;
    return this.#change((all) => [...new Set([...all, this.#id])]);
  }

  #renewLater(isOpen: boolean): void {
    this.#stopTimer?.();
    if (this.#isClosed) return;
    this.#stopTimer = this.#clock.schedule(
      () => {
        const now = this.#clock.now();
        for (const hold of this.#holds)
          if (now - hold.since >= LONGEST_MS) {
            this.#remove(hold);
            process.emitWarning(
              "transactions: a transaction has run for five minutes; until it ends, loads of what it changes are stored again",
              "HotsetWarning",
            );
          }
        void this.#write();
      },
      isOpen ? this.#lifeMs / 4 : IDLE_MS / 4,
    );
  }

  #remove(hold: Hold): boolean {
    if (!this.#holds.delete(hold)) return false;
    for (const thing of hold.things) {
      const left = this.#counts.get(thing)! - 1;
      if (left > 0) this.#counts.set(thing, left);
      else this.#counts.delete(thing);
    }
    this.#revision += 1;
    return true;
  }
}

const FOREVER_MS = 30 * 24 * 3_600_000;
const ignore = (): undefined => undefined;

const isOf = (
  things: { readonly has: (thing: string) => boolean },
  name: string,
  dependsOn: readonly string[],
): boolean => things.has(name) || dependsOn.some((key) => things.has(key));

const INTERNALS: unique symbol = Symbol.for("hotset.internals");
export const internalsOf = (cache: Cache): Internals =>
  (cache as unknown as { readonly [INTERNALS]: () => Internals })[INTERNALS]();
