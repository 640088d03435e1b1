import type { Backend, DeleteStatus, Leases, StoredEntry, TagVersion, TagVersions } from "../contracts/backend.ts";
import { Breaker } from "../primitives/breaker.ts";
import type { ChangeListener } from "../coherence/change-listener.ts";
import type { KeyAliases } from "../coherence/key-aliases.ts";
import type { Clock } from "../contracts/clock.ts";
import { Codec, type Encoded } from "../entry/codec.ts";
import { Deadlines } from "../primitives/deadlines.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryLeases, EntryTier, EntryWrite, LeaseAnswer, ReadRequest } from "./entry-tier.ts";
import { BackendUnavailableError, CacheError, DecodeError } from "../contracts/errors.ts";
import { traced, type Events, type TierState } from "../contracts/events.ts";
import { dependencies, type EntryKey, type KeySpace } from "../entry/key.ts";
import { isThenable, whenReady } from "../primitives/once.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import { TierMeter } from "../primitives/meters.ts";
import { versionEntries } from "../tags/version-entries.ts";
import type { KnownVersions } from "../tags/known-versions.ts";
import { underVersions } from "../tags/tag-events.ts";

/**
 * One backend as a tier: codec, deadline and breaker around it.
 *
 * Every call is bounded by a deadline of its own, whatever the backend does; an answer after it is ignored. While the
 * breaker is open a call costs no timer and no socket. Rejects with {@link BackendUnavailableError} when the backend
 * did not answer, and with what the backend says when it refused; both are reported once, here.
 */
export class RemoteTier implements EntryTier {
  readonly label: string;
  readonly deadlineMs: number;
  readonly keepsMeta: boolean;
  readonly versions: TagVersions | undefined;
  readonly leases: EntryLeases | undefined;
  readonly codecId: string;
  readonly meter: TierMeter = new TierMeter();
  readonly pending = 0;
  readonly #backend: Backend;
  readonly #codec: Codec;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  readonly #breaker: Breaker;
  readonly #deadlines: Deadlines;
  /** Whose versions decide whether an entry is current; nobody's where entries carry none, or a composition judges. */
  readonly #judgedBy: TagVersions | undefined;
  /** As `#judgedBy`, for reads that may go by what is known here. */
  readonly #sparing: Pick<TagVersions, "read"> | undefined;
  /** What is known of them without asking. */
  readonly #table: KnownVersions | undefined;
  readonly #aliases: KeyAliases | undefined;
  /** Called once, with the first call. */
  #used: (() => void) | undefined;
  readonly #undecodable = new Set<string>();
  #state: TierState = "idle";
  #isDetached = false;

  /**
   * @param used called once, with the first call.
   * @param isComposed it is part of a composition, which judges tag versions itself.
   */
  constructor(
    backend: Backend,
    clock: Clock,
    events: Events,
    cache: string,
    {
      table,
      aliases,
      used,
      isComposed = false,
    }: {
      readonly table?: KnownVersions | undefined;
      readonly aliases?: KeyAliases | undefined;
      readonly used?: () => void;
      readonly isComposed?: boolean;
    } = {},
  ) {
    this.label = backend.label;
    this.deadlineMs = backend.deadlineMs ?? 1_000;
    this.keepsMeta = backend.keepsMeta ?? true;
    this.#backend = backend;
    this.#codec = new Codec(backend);
    this.#clock = clock;
    this.#events = events;
    this.#cache = cache;
    this.#breaker = new Breaker(clock);
    this.#deadlines = new Deadlines(this.deadlineMs, clock);
    const own = this.keepsMeta
      ? (backend.tagVersions ?? versionEntries(aliases === undefined ? backend : named(backend, aliases), clock))
      : undefined;
    const source = own && (table?.learning(own) ?? own);
    this.#judgedBy = isComposed ? undefined : source;
    this.#sparing = this.#judgedBy && (table?.sparing(this.#judgedBy) ?? this.#judgedBy);
    this.#table = isComposed ? undefined : table;
    this.#aliases = aliases;
    this.#used = used;
    this.versions = source && this.#bounded(source);
    this.leases = backend.leases && this.#leasesOf(backend.leases);
    // Without meta every value is compressed, however small: those bytes are not the others'.
    this.codecId = `${backend.format.id}+${backend.compressor.id}${this.keepsMeta ? "" : "+always"}`;
  }

  get retryInMs(): number {
    return this.#breaker.probeInMs;
  }

  /** Sends the read, and that of the tag versions beside it, before it returns. */
  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined> {
    if (!this.#breaker.admits()) return Promise.reject(this.#refusal("read"));
    const expected = dependencies(request.key.space, request.expectedTags);
    this.#aliases?.add(request.key.backend);
    let answer: Promise<StoredEntry | undefined> | undefined;
    let current: Promise<Versions> | undefined;
    try {
      answer = this.#backend.read(request.key.backend);
      if (request.isAfter === true || this.#table?.knows(expected) !== true) current = this.#judgedBy?.read(expected);
    } catch (error) {
      // What was sent beside it is not waited for.
      answer?.catch(ignore);
      answer = Promise.reject(error);
    }
    return this.#bound("read", request.key.space, budgetMs, (done, fail, sentAt) =>
      this.#checkTags(request, expected, answer, current, sentAt, done, fail),
    );
  }

  /** In one trip. Where that fails all fail; what fails later, over tags that nobody expected, fails alone. */
  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Promise<Entry | undefined>[] {
    const batch = this.#backend.batch;
    if (batch === undefined || requests.length < 2) return requests.map((request) => this.read(request, budgetMs));
    const { key: first, expectedTags } = requests[0]!;
    const expected = dependencies(first.space, expectedTags);
    if (this.#aliases !== undefined) for (const { key } of requests) this.#aliases.add(key.backend);
    const isKnown = requests[0]!.isAfter !== true && this.#table?.knows(expected) === true;
    const sentAt = this.#clock.now();
    const outcomes = requests.map(() => Promise.withResolvers<Entry | undefined>());
    this.#call("read", first.space, budgetMs, async () => {
      const [stored, asked] = await Promise.all([
        batch.read(requests.map(({ key }) => key.backend)),
        isKnown ? undefined : this.#judgedBy?.read(expected),
      ]);
      const versions =
        asked ?? (this.#judgedBy && (this.#table?.known(expected) ?? (await this.#judgedBy.read(expected))));
      const later = requests.flatMap((request, i) => {
        const found = stored[i];
        request.saw?.(found?.version ?? "");
        const entry = found && this.#decoded(request, expected, found, versions, sentAt);
        if (isThenable(entry))
          return entry.then(outcomes[i]!.resolve, (error: unknown) => {
            outcomes[i]!.reject(error);
            return error;
          });
        outcomes[i]!.resolve(entry);
        return [];
      });
      const failed = (await Promise.all(later)).find((error) => error !== undefined);
      if (failed !== undefined) this.#failed("read", first.space, failed);
    }).catch((error: unknown) => {
      for (const { reject } of outcomes) reject(error);
    });
    return outcomes.map(({ promise }) => promise);
  }

  encode(value: unknown): Awaitable<Encoded> {
    return this.#codec.encode(value);
  }

  write(key: EntryKey, write: EntryWrite): Promise<"stored" | "refused"> {
    return this.#stored<"stored" | "refused">(key, write, {
      send: async (stored) => {
        await this.#backend.write(key.backend, stored);
        return "stored";
      },
      refuse: () => this.#refuse(key),
    });
  }

  /** @param refuse what becomes of an entry that is larger than `maxEntryBytes`. */
  async #stored<S extends string>(
    key: EntryKey,
    { entry, encoded, versions }: EntryWrite,
    { send, refuse }: { readonly send: (stored: StoredEntry) => Promise<S>; readonly refuse: () => Promise<S> },
  ): Promise<S> {
    if (encoded.data.length > (this.#backend.maxEntryBytes ?? Infinity)) return refuse();
    this.#aliases?.add(key.backend);
    const startedAt = this.#clock.now();
    const stored = this.#codec.toStored(encoded, entry, versions, startedAt);
    const status = await this.#call("write", key.space, this.deadlineMs, () => send(stored));
    this.#undecodable.delete(key.backend);
    if (status === "stored" && this.#events.store.isObserved)
      this.#events.store.emit({
        cache: this.#cache,
        namespace: key.space.path,
        key: key.name,
        tier: this.label,
        durationMs: this.#clock.now() - startedAt,
        bytes: encoded.data.length,
      });
    return status;
  }

  /** What was there is older than the entry that is refused. */
  async #refuse(key: EntryKey): Promise<"refused"> {
    await this.remove(key);
    return "refused";
  }

  remove(key: EntryKey): Promise<DeleteStatus> {
    return this.#call("remove", key.space, this.deadlineMs, () => this.#backend.remove(key.backend));
  }

  /** A backend that cannot end freshness alone loses the entry: what must not be served as fresh is gone. */
  async markStale(key: EntryKey): Promise<"stale" | "missing"> {
    const backend = this.#backend;
    if (backend.markStale === undefined) return (await this.remove(key)) === "deleted" ? "stale" : "missing";
    return this.#call("markStale", key.space, this.deadlineMs, () => backend.markStale!(key.backend));
  }

  async connect(): Promise<void> {
    this.#begin();
    try {
      await this.#backend.connect?.();
    } catch (error) {
      throw this.#failed("connect", undefined, error);
    }
    this.#answered();
  }

  listenerOf(backend: Backend): Partial<ChangeListener> {
    if (backend !== this.#backend) return {};
    return {
      attached: () => {
        this.#isDetached = false;
        this.#answered();
      },
      detached: (error) => {
        this.#isDetached = true;
        if (error !== undefined && !(error instanceof BackendUnavailableError))
          this.#failed("attach", undefined, error);
        if (this.#state === "up") this.#enter("detached");
      },
    };
  }

  async settled(): Promise<void> {}

  /** The backend itself is closed by the last cache that uses it. */
  stop(): void {}

  stats(): readonly ReturnType<TierMeter["snapshot"]>[] {
    return [this.meter.snapshot(this.label, this.#state)];
  }

  /**
   * What the backend answers, as its tag versions leave it; `undefined` for what cannot be read. What remained of its
   * life counts from where the read was sent: a slow answer may shorten a life, and never prolongs it (RFC 9111, 4.2.3).
   *
   * Callbacks, since every backend hit comes this way: with decoders that answer at once nothing here waits.
   */
  #checkTags(
    request: ReadRequest,
    expected: readonly string[],
    answer: Promise<StoredEntry | undefined>,
    current: Promise<Versions> | undefined,
    sentAt: number,
    done: (entry: Awaitable<Entry | undefined>) => void,
    fail: (error: unknown) => void,
  ): void {
    let stored: StoredEntry | undefined;
    let versions: Versions | undefined;
    let awaited = current === undefined ? 1 : 2;
    const arrived = (): void => {
      awaited -= 1;
      if (awaited !== 0) return;
      request.saw?.(stored?.version ?? "");
      done(stored && this.#underCurrent(request, expected, stored, versions, sentAt));
    };
    // A backend that unpacks its own blobs says so when it cannot: that is an answer.
    answer.then(
      (found) => {
        stored = found;
        arrived();
      },
      (error: unknown) => (error instanceof DecodeError ? done(this.#reportUndecodable(request, error)) : fail(error)),
    );
    current?.then((found) => {
      versions = found;
      arrived();
    }, fail);
  }

  /** @param asked the versions of `expected`; `undefined` where they were known when the read was sent, and may have been forgotten since. */
  #underCurrent(
    request: ReadRequest,
    expected: readonly string[],
    stored: StoredEntry,
    asked: Versions | undefined,
    sentAt: number,
  ): Awaitable<Entry | undefined> {
    const versions = asked ?? (request.isAfter === true ? undefined : this.#table?.known(expected));
    if (versions !== undefined || this.#judgedBy === undefined)
      return this.#decoded(request, expected, stored, versions, sentAt);
    return this.#judgedBy.read(expected).then((now) => this.#decoded(request, expected, stored, now, sentAt));
  }

  /** An entry as its tag versions leave it; `undefined` for what cannot be read. At once, where nothing has to be waited for. */
  #decoded(
    request: ReadRequest,
    expected: readonly string[],
    stored: StoredEntry,
    versions: Versions | undefined,
    sentAt: number,
  ): Awaitable<Entry | undefined> {
    const judged = (entry: Entry): Awaitable<Entry | undefined> =>
      versions === undefined
        ? entry
        : underVersions(
            entry,
            expected,
            versions,
            request.isAfter === true ? this.#judgedBy! : this.#sparing!,
            this.#clock,
          );
    try {
      const decoded = this.#codec.decode(stored, request.key.space, request.schema, sentAt, request.tagSequence);
      const entry =
        this.#backend.readsLag === true ? whenReady(decoded, (each) => ({ ...each, localTtlMs: 0 })) : decoded;
      return isThenable(entry)
        ? entry.then(judged, (error: unknown) => this.#reportUndecodable(request, error as DecodeError))
        : judged(entry);
    } catch (error) {
      return this.#reportUndecodable(request, error as DecodeError);
    }
  }

  #reportUndecodable(request: ReadRequest, error: DecodeError): undefined {
    const backendKey = request.key.backend;
    if (this.#undecodable.has(backendKey)) return;
    if (this.#undecodable.size >= MAX_UNDECODABLE) this.#undecodable.clear();
    this.#undecodable.add(backendKey);
    this.meter.errors += 1;
    this.#events["decode:error"].emit({
      cache: this.#cache,
      namespace: request.key.space.path,
      key: request.key.name,
      tier: this.label,
      error,
    });
  }

  #leasesOf(leases: Leases): EntryLeases {
    return {
      acquire: (request, token, leaseMs, seen) => {
        let isOver = false;
        // Whoever asks without having read is answered with what is there, or woken.
        this.#aliases?.add(request.key.backend);
        return this.#call("lease", request.key.space, this.deadlineMs, async (): Promise<LeaseAnswer> => {
          const sentAt = this.#clock.now();
          const answer = await leases.acquire(request.key.backend, token, leaseMs, seen);
          // Granted too late for anybody to use.
          if (isOver && answer.granted) leases.release(request.key.backend, token).catch(ignore);
          if (answer.granted) return { kind: "granted", seen: answer.version };
          if ("heldForMs" in answer) return { kind: "held", heldForMs: answer.heldForMs };
          const expected = dependencies(request.key.space, request.expectedTags);
          return {
            kind: "entry",
            seen: answer.entry.version ?? "",
            entry: await this.#underCurrent(request, expected, answer.entry, undefined, sentAt),
          };
        }).finally(() => {
          isOver = true;
        });
      },
      renew: (key, token, leaseMs) =>
        this.#call("lease", key.space, this.deadlineMs, () => leases.renew(key.backend, token, leaseMs)),
      release: (key, token) =>
        this.#call("lease", key.space, this.deadlineMs, () => leases.release(key.backend, token)),
      store: (key, write, token, seen) =>
        this.#stored<"stored" | "refused" | "overtaken">(key, write, {
          send: async (stored) => ((await leases.store(key.backend, token, seen, stored)) ? "stored" : "overtaken"),
          // Only the lease holder may remove the entry; the lease is extended just long enough for that.
          refuse: async () =>
            (await this.#call("lease", key.space, this.deadlineMs, () =>
              leases.renew(key.backend, token, 2 * this.deadlineMs),
            ))
              ? this.#refuse(key)
              : "overtaken",
        }),
      confirm: (key) => this.#call("lease", key.space, this.deadlineMs, () => leases.confirm(key.backend)),
    };
  }

  #bounded(source: TagVersions): TagVersions {
    const call = <T>(run: () => Promise<T>): Promise<T> => this.#call("tags", undefined, this.deadlineMs, run);
    return {
      read: (tags) => call(() => source.read(tags)),
      pin: (tags) => call(() => source.pin(tags)),
      unchangedSince: (at, tags) => call(() => source.unchangedSince(at, tags)),
      renew: (tags, mode) => call(() => source.renew(tags, mode)),
    };
  }

  #call<T>(operation: Operation, keySpace: KeySpace | undefined, budgetMs: number, run: () => Promise<T>): Promise<T> {
    if (!this.#breaker.admits()) return Promise.reject(this.#refusal(operation));
    return this.#bound(operation, keySpace, budgetMs, (done, fail) => {
      try {
        run().then(done, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  /** @param work calls one of the two, once, with what it awaits itself if that is still to come. */
  #bound<T>(
    operation: Operation,
    keySpace: KeySpace | undefined,
    budgetMs: number,
    work: (done: (value: Awaitable<T>) => void, fail: (error: unknown) => void, startedAt: number) => void,
  ): Promise<T> {
    this.#begin();
    const startedAt = this.#clock.now();
    const bounded = (): Promise<T> =>
      new Promise((resolve, reject) => {
        const overdue = (): void =>
          reject(
            this.#failed(
              operation,
              keySpace,
              new BackendUnavailableError(
                `${this.label}: no answer to ${operation} within ${Math.round(budgetMs)} ms`,
                { tier: this.label, operation },
              ),
            ),
          );
        const deadline = this.#deadlines.start(startedAt, budgetMs, overdue);
        const fail = (error: unknown): void => {
          if (this.#deadlines.end(deadline)) reject(this.#failed(operation, keySpace, error));
        };
        const done = (value: Awaitable<T>): void => {
          if (isThenable(value)) return void value.then(done, fail);
          if (!this.#deadlines.end(deadline)) return;
          this.meter[METERS[operation]].record(this.#clock.now() - startedAt);
          this.#answered();
          resolve(value);
        };
        work(done, fail, startedAt);
      });
    return traced("backend", bounded, () => ({
      cache: this.#cache,
      namespace: keySpace?.path ?? [],
      tier: this.label,
      operation,
    }));
  }

  #begin(): void {
    const used = this.#used;
    if (used === undefined) return;
    this.#used = undefined;
    used();
  }

  #answered(): void {
    this.#breaker.answered();
    this.#enter(this.#isDetached ? "detached" : "up");
  }

  #failed(operation: string, keySpace: KeySpace | undefined, cause: unknown): CacheError {
    this.meter.errors += 1;
    const isTransport = cause instanceof BackendUnavailableError;
    if (isTransport) this.#breaker.failed();
    else this.#breaker.answered();
    const error =
      cause instanceof CacheError
        ? cause
        : new BackendUnavailableError(`${this.label}: ${operation} was refused; see cause`, {
            tier: this.label,
            operation,
            cause,
          });
    this.#events["backend:error"].emit({
      cache: this.#cache,
      namespace: keySpace?.path ?? [],
      tier: this.label,
      operation,
      error,
    });
    if (this.#breaker.isOpen) this.#enter("down");
    return error;
  }

  #refusal(operation: string): CacheError {
    return new BackendUnavailableError(`${this.label}: not asked to ${operation}, since it did not answer lately`, {
      tier: this.label,
      operation,
      maybeExecuted: false,
    });
  }

  #enter(state: TierState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#events["backend:state"].emit({ cache: this.#cache, namespace: [], tier: this.label, state });
  }
}

/** `backend`, where messages about whatever is read and written are understood. */
const named = (backend: Backend, aliases: KeyAliases): Pick<Backend, "read" | "write"> => ({
  read(key) {
    aliases.add(key);
    return backend.read(key);
  },
  write(key, entry) {
    aliases.add(key);
    return backend.write(key, entry);
  },
});

type Operation = keyof typeof METERS;
const METERS = {
  read: "read",
  write: "write",
  remove: "remove",
  markStale: "write",
  tags: "write",
  lease: "write",
} as const;
type Versions = readonly (TagVersion | undefined)[];
const MAX_UNDECODABLE = 1_000;
const ignore = (): void => {};
