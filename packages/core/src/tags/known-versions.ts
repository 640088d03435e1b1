import type { Epoch } from "../coherence/parts.ts";
import type { Trust } from "../coherence/trust.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { TagVersion, TagVersions } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { haveEqualItems } from "../primitives/equal-items.ts";
import { ignore } from "../primitives/ignore.ts";
import type { Pinned, Versions } from "./tag-versions.ts";

/**
 * The tag versions that a cache has seen, each with how it was: one table for reads, loads and writes.
 *
 * - known: current, because every change of it is reported. With these a tagged copy costs no trip, a tagged read only
 *   its own, and a version is not asked for again because another tag is new.
 * - pinned: a load or a write asked for it lately, so it lives long enough in the backend: a load under it does not pin
 *   it again. Where no change is reported, that holds for {@link UNREPORTED_REPIN_MS}.
 * - guessed: what it was when it was seen last, for a write that checks it.
 *
 * A version is recorded from an answer only if its tag did not change while the answer was on its way: a reply is
 * handled after the message that overtook it. Kept apart from entries, so that they cannot evict it. Bounded; a
 * forgotten version is read again.
 *
 * In a backend of several parts the one that keeps the versions may be lost while others are not. Then a version that
 * was read, from a replica for example, is believed for `maxStaleness`: as long as copies are while a link is silent.
 */
export class KnownVersions {
  readonly #trust: Trust | undefined;
  readonly #clock: Clock;
  /** Called when versions are forgotten: copies may have been checked against them. */
  readonly #forgotten: () => void;
  readonly #versions = new Map<string, Known>();
  /** The issuer's position at the last pin, while no change was noticed since. */
  #at: string | undefined;
  /** For each tag: how many answers are on their way, and the last change of the tag. */
  readonly #asked = new Map<string, { count: number; changeSequence: number }>();
  /** The number of the last change. */
  #changeSequence = 0;
  #epoch: Epoch = { until: -Infinity };
  /** The pin that is under way. */
  #pinning: Pinning | undefined;
  /** Whether any was forgotten for want of room. */
  #hasForgotten = false;
  /** Reads versions again, in the background. */
  #readAgain: (tags: readonly string[]) => void = ignore;

  /** @param trust absent where the backend reports no changes: then no version is known to be current. */
  constructor(trust: Trust | undefined, clock: Clock, forgotten: () => void) {
    this.#trust = trust;
    this.#clock = clock;
    this.#forgotten = forgotten;
  }

  get size(): number {
    return this.#versions.size;
  }

  has(tag: string): boolean {
    return this.#versions.get(tag)?.isKnown === true;
  }

  /** The version that was seen last, perhaps long ago; none that was seen before a change of it was reported. */
  lastSeen(tag: string): TagVersion | undefined {
    return this.#versions.get(tag)?.version;
  }

  /** Whether something that this process has may depend on this tag. */
  concerns(tag: string): boolean {
    return this.#versions.has(tag) || this.#asked.has(tag) || this.#hasForgotten;
  }

  /** Whether every change of a version is reported. */
  isReported(now: number): boolean {
    if (now < this.#epoch.until) return true;
    if (this.#trust === undefined) return false;
    this.#epoch = this.#trust.epochOfVersions();
    return now < this.#epoch.until;
  }

  /** Whether all of them are known. */
  knows(tags: readonly string[]): boolean {
    const since = this.#believedSince();
    for (const tag of tags) {
      const known = this.#versions.get(tag);
      if (known?.isKnown !== true || known.readAt <= since) return false;
    }
    return true;
  }

  /** All of them, in order; `undefined` if one is not known. */
  known(tags: readonly string[]): readonly TagVersion[] | undefined {
    const since = this.#believedSince();
    // Asked for at each hit: an array that grows would have room for 17.
    const versions = new Array<TagVersion>(tags.length);
    for (let i = 0; i < tags.length; i++) {
      const known = this.#versions.get(tags[i]!);
      if (known?.isKnown !== true || known.readAt <= since) return undefined;
      versions[i] = known.version;
    }
    return versions;
  }

  /** The versions that were seen last, perhaps long ago, for a write that checks them; `undefined` if one was not seen. */
  allLastSeen(tags: readonly string[]): readonly TagVersion[] | undefined {
    const versions = tags.map((tag) => this.#versions.get(tag)?.version);
    return versions.every((version) => version !== undefined) ? versions : undefined;
  }

  /** A version that was read later, as `clock.now()`, counts. */
  #believedSince(): number {
    const now = this.#clock.now();
    if (this.isReported(now)) return -Infinity;
    return this.#trust?.isReportedInPart(now) === true ? now - this.#trust.maxStalenessMs : Infinity;
  }

  /** The current versions, in order. Unknown ones are read; all of them, if one changed meanwhile. */
  async current(source: TagVersions, tags: readonly string[]): Promise<Versions> {
    const unknown = tags.filter((tag) => !this.knows([tag]));
    if (unknown.length === tags.length) return source.read(tags);
    const read = new Map(zip(unknown, await source.read(unknown)));
    const known = tags.filter((tag) => !read.has(tag));
    return this.knows(known)
      ? tags.map((tag) => (read.has(tag) ? read.get(tag) : this.#versions.get(tag)!.version))
      : source.read(tags);
  }

  /**
   * The versions, pinned. Those that are known, and were pinned within {@link REPIN_MS}, cost no
   * trip: pinning also prolongs their life in the backend. Calls under the same tags share one
   * request, unless a version changed in between: its answer would make the entry a miss.
   *
   * A change may be on its way, or unnoticed. Then the entry is stored under versions that are outdated: a miss for
   * every process, never a stale value. `at` is that of an earlier pin, so a late tag may be refused needlessly.
   *
   * While the part that keeps the versions is lost nothing can be pinned: any version that was known will do, and there
   * may be no `at`, which refuses all late tags.
   *
   * @param isCurrent the caller may know of newer versions, or what it stores must not be a miss: all are pinned, and
   *   only calls of one turn share the request.
   */
  pin(source: TagVersions, tags: readonly string[], isCurrent: boolean): Awaitable<Pinned> {
    const since = this.#pinnedSince();
    const versions = this.#pinnedOf(isCurrent ? [] : tags, since);
    if (versions.size === tags.length && (since === -Infinity || this.#at !== undefined))
      return { at: this.#at ?? "", versions };
    const last = this.#pinning;
    if (
      last !== undefined &&
      last.changeSequence === this.#changeSequence &&
      (last.isOfThisTurn || !isCurrent) &&
      haveEqualItems(last.tags, tags)
    )
      return last.pinned;
    // If all are known, one of them brings the position of the issuer.
    const asked = versions.size === tags.length ? tags.slice(-1) : tags.filter((tag) => !versions.has(tag));
    const asking = source.pin(asked).then(({ at, versions: answer }) => {
      for (const [tag, version] of zip(asked, answer)) versions.set(tag, version);
      return { at, versions };
    });
    const pinning: Pinning = { tags, changeSequence: this.#changeSequence, pinned: asking, isOfThisTurn: true };
    this.#pinning = pinning;
    queueMicrotask(() => (pinning.isOfThisTurn = false));
    const end = (): void => {
      if (this.#pinning === pinning) this.#pinning = undefined;
    };
    asking.then(end, end);
    return asking;
  }

  /** The known versions of `tags` that were pinned after `since`. */
  #pinnedOf(tags: readonly string[], since: number): Map<string, TagVersion> {
    const versions = new Map<string, TagVersion>();
    for (const tag of tags) {
      const known = this.#versions.get(tag);
      const isPinned = since === -Infinity || (known?.pinnedAt ?? since) > since;
      if (known?.isKnown === true && isPinned) versions.set(tag, known.version);
    }
    return versions;
  }

  /** A version that was pinned later, as `clock.now()`, counts as pinned; `-Infinity` for any. */
  #pinnedSince(): number {
    const now = this.#clock.now();
    if (this.#trust === undefined) return now - UNREPORTED_REPIN_MS;
    if (this.isReported(now)) return now - REPIN_MS;
    return this.#trust.isReportedInPart(now) ? -Infinity : Infinity;
  }

  /**
   * Notes that the versions of these tags changed, or may have.
   *
   * @param versions what they are now, as `hard soft`: one that is known to be this already stays. The version of
   *   another one is a guess from now on, which says how it changed.
   * @returns those that were known.
   */
  forget(tags: readonly string[], versions?: ReadonlyMap<string, string>): string[] {
    this.#changeSequence += 1;
    this.#at = undefined;
    return tags.filter((tag) => {
      const asked = this.#asked.get(tag);
      if (asked !== undefined) asked.changeSequence = this.#changeSequence;
      const now = versions?.get(tag);
      const known = this.#versions.get(tag);
      if (known === undefined || now === `${known.version.hard} ${known.version.soft}`) return false;
      this.#versions.delete(tag);
      const version = now === undefined ? undefined : versionIn(now);
      if (version !== undefined) this.#versions.set(tag, { ...GUESS, version });
      return known.isKnown;
    });
  }

  /**
   * {@link forget}, for tags that were reported as changed. One whose version this process may have issued itself is
   * read again, since that report is of a step of this process: what was stored under the version stays valid.
   */
  reported(tags: readonly string[], versions?: ReadonlyMap<string, string>): string[] {
    const ownIssues = tags.filter((tag) => this.#versions.get(tag)?.mayBeIssuedHere === true);
    const known = this.forget(tags, versions);
    const toRead = ownIssues.filter((tag) => !this.has(tag));
    if (toRead.length !== 0) this.#readAgain(toRead);
    return known;
  }

  /** Any may have changed. They stay as guesses. */
  clear(): void {
    this.#changeSequence += 1;
    this.#at = undefined;
    for (const known of this.#versions.values()) known.isKnown = false;
  }

  /** `source`, with its answers recorded: once where calls of one turn share an answer. */
  recording(source: TagVersions): TagVersions {
    let last: Promise<Versions> | undefined;
    let recorded: Promise<Versions> | undefined;
    const record = async <T>(
      step: VersionStep,
      tags: readonly string[],
      ask: () => Promise<T>,
      versionsOf: (answer: T) => Versions,
      onOvertaken: (tags: readonly string[]) => void = readAgain,
    ): Promise<T> => {
      const epoch = this.#trust?.epochOfVersions();
      const since = this.#changeSequence;
      const askedAt = this.#clock.now();
      this.#expect(tags);
      try {
        const answer = await ask();
        const overtaken =
          epoch === this.#trust?.epochOfVersions()
            ? this.#record(tags, versionsOf(answer), { since, askedAt, step })
            : tags;
        if (overtaken.length !== 0) onOvertaken(overtaken);
        return answer;
      } finally {
        last = undefined;
        this.#answered(tags);
      }
    };
    // Issuing a missing version is a change too, and reported like any other: before the answer, or after it (see
    // `reported`). An answer from before the subscription is not recorded either. All are read once more.
    const readAgain = (tags: readonly string[]): void =>
      void (this.#trust && record("read", tags, () => source.read(tags), asRead, ignore).catch(ignore));
    this.#readAgain = readAgain;
    return {
      read: (tags) => {
        const of = source.read(tags);
        if (of === last && recorded !== undefined) return recorded;
        last = of;
        recorded = record("read", tags, () => of, asRead);
        return recorded;
      },
      pin: async (tags) => {
        const epoch = this.#trust?.epochOfVersions();
        const since = this.#changeSequence;
        const pinnedAt = this.#clock.now();
        const answer = await record("pin", tags, () => source.pin(tags), versionsOf);
        if (epoch === this.#trust?.epochOfVersions()) {
          if (since === this.#changeSequence) this.#at = answer.at;
          this.#pinned(tags, pinnedAt);
        }
        return answer;
      },
      unchangedSince: async (at, tags) => {
        const versions = await record("late", tags, () => source.unchangedSince(at, tags), asRead);
        // Refused: a tag changed, or the issuer was lost, which is not reported. Then no tag is unchanged since `#at`.
        if (versions.includes(undefined)) this.#at = undefined;
        return versions;
      },
      renew: async (tags, mode) => {
        const reported = await this.#renewed(source, tags, mode);
        if (reported.length !== 0) readAgain(reported);
      },
    };
  }

  /**
   * @returns the tags that were reported meanwhile, where `mode` is not hard: by this call, or by another process at the
   *   same time. How such a tag has changed since is read.
   */
  async #renewed(
    source: TagVersions,
    tags: readonly string[],
    mode: Parameters<TagVersions["renew"]>[1],
  ): Promise<readonly string[]> {
    this.forget(tags);
    const since = this.#changeSequence;
    this.#expect(tags);
    try {
      await source.renew(tags, mode);
      return mode === "hard" ? [] : tags.filter((tag) => this.#asked.get(tag)!.changeSequence > since);
    } finally {
      this.#answered(tags);
      this.forget(tags);
    }
  }

  #pinned(tags: readonly string[], pinnedAt: number): void {
    for (const tag of tags) {
      const known = this.#versions.get(tag);
      if (known !== undefined) known.pinnedAt = pinnedAt;
    }
  }

  #expect(tags: readonly string[]): void {
    for (const tag of tags) {
      const asked = this.#asked.get(tag);
      if (asked === undefined) this.#asked.set(tag, { count: 1, changeSequence: 0 });
      else asked.count += 1;
    }
  }

  #answered(tags: readonly string[]): void {
    for (const tag of tags) {
      const asked = this.#asked.get(tag)!;
      if ((asked.count -= 1) === 0) this.#asked.delete(tag);
    }
  }

  /** Records versions, and returns the tags that changed while they were asked for. */
  #record(
    tags: readonly string[],
    versions: Versions,
    { since, askedAt, step }: { readonly since: number; readonly askedAt: number; readonly step: VersionStep },
  ): readonly string[] {
    const overtaken: string[] = [];
    tags.forEach((tag, i) => {
      const version = versions[i];
      if (version !== undefined && this.#asked.get(tag)!.changeSequence > since) return void overtaken.push(tag);
      const known = this.#versions.get(tag);
      // Missing, or changed where nothing says so: others may have changed, too.
      const isChanged = version === undefined || !isSame(known?.version, version);
      if (version === undefined || (this.#trust === undefined && step !== "pin")) {
        if (isChanged && known !== undefined) this.forget([tag]);
        return;
      }
      if (this.#versions.size >= MAX_KNOWN && known === undefined) this.#makeRoom();
      const mayBeIssuedHere = isChanged ? step !== "read" : known?.mayBeIssuedHere === true;
      const pinnedAt = known?.pinnedAt ?? NEVER;
      this.#versions.set(tag, { version, isKnown: true, mayBeIssuedHere, readAt: askedAt, pinnedAt });
    });
    return overtaken;
  }

  /** Forgets many together: a map walks past deleted ones to its oldest. Copies are checked again. */
  #makeRoom(): void {
    for (const oldest of this.#versions.keys()) {
      if (this.#versions.size <= MAX_KNOWN * 0.9) break;
      this.#versions.delete(oldest);
    }
    this.#hasForgotten = true;
    this.#forgotten();
  }
}

interface Known {
  readonly version: TagVersion;
  /** Whether the version has not changed since, as far as changes are reported. */
  isKnown: boolean;
  /** Whether a step of this process found it first, and issued it if it was missing: no report has come of it yet. */
  readonly mayBeIssuedHere: boolean;
  /** `clock.now()` when it was asked for. */
  readonly readAt: number;
  /** `clock.now()` when it was pinned last; `-Infinity` for one that was only read. */
  pinnedAt: number;
}

/** How versions were asked for: `pin` and `late`, for a tag that a loader added, issue one that is missing. */
type VersionStep = "read" | "pin" | "late";

/** A request for versions of these tags, while no version is known to have changed since. */
interface Pinning {
  readonly tags: readonly string[];
  readonly changeSequence: number;
  readonly pinned: Promise<Pinned>;
  isOfThisTurn: boolean;
}

const isSame = (one: TagVersion | undefined, other: TagVersion): boolean =>
  one?.hard === other.hard && one.soft === other.soft;
const zip = <T>(tags: readonly string[], versions: readonly T[]): (readonly [string, T])[] =>
  tags.map((tag, i) => [tag, versions[i]!]);
const versionsOf = ({ versions }: { readonly versions: Versions }): Versions => versions;
/** A version as a report has it; none in that of a store which keeps versions as entries. */
const versionIn = (text: string): TagVersion | undefined => {
  const [hard, soft, ...more] = text.split(" ");
  return soft === undefined || more.length !== 0 ? undefined : { hard: hard!, soft };
};
const NEVER = -Infinity;
const GUESS = { isKnown: false, mayBeIssuedHere: false, readAt: NEVER, pinnedAt: NEVER } as const;
const asRead = (versions: Versions): Versions => versions;
/** Far below the 30 days that a version lives in Redis after it was pinned. */
const REPIN_MS = 3_600_000;
/** How long a pin counts if nothing reports changes, so that only a read notices an outdated version. */
const UNREPORTED_REPIN_MS = 1_000;
/** About 20 MB at most. */
const MAX_KNOWN = 100_000;
