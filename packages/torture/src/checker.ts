import {
  FOREIGN,
  type Change,
  type Fault,
  type History,
  type Instant,
  type Issue,
  type Load,
  type Read,
} from "./history.ts";
import { isJump, Jumps, LEASE_MS } from "./jumps.ts";
import { askedAt, gaveUpBefore, LostVersions } from "./lost-versions.ts";
import { isMarked, LOOK_MS, overlap, Reach, type Span } from "./reach.ts";

/**
 * The violations that a history can show:
 *
 * - `own`: in the process of a change, a read that began after the call had settled answered the replaced value.
 * - `elsewhere`: another process did so later than `maxStaleness` after the acknowledgement.
 * - `current`: a current read did, in any process, at any time.
 * - `forced`: a forced load answered a value that had been replaced before the call.
 * - `reappeared`: a value with a pending change came back after the replay.
 * - `two loads`: two processes loaded one key at a time.
 * - `missed`: a value was not found though it had been stored, was fresh, and nothing had happened since.
 * - `outlived`: a value was answered after the end of its life, or as fresh after the end of its freshness.
 * - `slept`: a call waited for a load elsewhere that did not run, and was not woken before its own next look.
 * - `unbounded`: a call took longer than its options allow.
 * - `forged`: a value that the source never had, or another key's.
 * - `shared`: an answer that a loader gave for its own caller alone reached another call.
 * - `abandoned`: a load was aborted while a later caller of its process waited for it, or a caller was rejected since
 *   another one had left.
 * - `unexpected error`: a call rejected that never may reject.
 * - `untidy`: an unhandled rejection, a leak, a call that never settled, a process that did not heal.
 */
export type Rule =
  | "own"
  | "elsewhere"
  | "current"
  | "forced"
  | "reappeared"
  | "two loads"
  | "missed"
  | "outlived"
  | "slept"
  | "unbounded"
  | "forged"
  | "shared"
  | "abandoned"
  | "unexpected error"
  | "untidy";

export interface Violation {
  readonly rule: Rule;
  readonly text: string;
  readonly at: Instant;
  readonly key?: string;
  /** The ids of the reads, changes and loads that show it. */
  readonly ids: readonly string[];
}

/** The reasons why an answer that looks wrong is right: packages/torture/README.md says when each ends. */
export type Exemption =
  | "fallback"
  | "lost, not yet re-issued"
  | "lost and forgotten"
  | "set with unknown outcome"
  | "load without a lease"
  | "load after one that stored nothing"
  | "clock set back after markStale"
  | "foreign delete during a load";

export interface Verdict {
  readonly violations: readonly Violation[];
  /** The number of uses of each. */
  readonly exemptions: Readonly<Partial<Record<Exemption, number>>>;
  /** The number of things checked. */
  readonly checked: {
    readonly reads: number;
    readonly changes: number;
    readonly loads: number;
    /** Reads in an outage after a change that had been received before it. */
    readonly received: number;
    /** Reads of an entry whose primary did not answer, after a change by tags, whose versions' primary did. */
    readonly asked: number;
  };
  /**
   * The times from each acknowledgement to the first correct answer of each other process, where it asked at that time
   * and nothing was broken.
   */
  readonly lagsMs: readonly number[];
  /** The times from the end of each fault until each process was in step again. */
  readonly healsMs: readonly number[];
}

/** Checks a history against the promises of hotset, and shows where they do not hold. Pure. */
export function check(history: History): Verdict {
  return new Checker(history).verdict();
}

/** From `at` on no version older than `version` may be answered. */
interface Floor {
  readonly version: number;
  readonly at: Instant;
  readonly change: Change;
  readonly isReplay: boolean;
}

/** Floors sorted by instant, each with the greatest version up to it, so that most reads are judged by one look. */
class Floors {
  readonly #floors: Floor[] = [];
  #highest: number[] | undefined;

  add(floor: Floor): void {
    this.#floors.push(floor);
    this.#highest = undefined;
  }

  /** The floors that an answer of `version` to a read begun at `startedAt` falls below, highest first. */
  above(version: number, startedAt: Instant): readonly Floor[] {
    const count = this.#countUntil(startedAt);
    if (count === 0 || this.#highest![count - 1]! <= version) return [];
    return this.#floors
      .slice(0, count)
      .filter((floor) => floor.version > version)
      .sort((a, b) => b.version - a.version);
  }

  /** The last floor until an instant. */
  last(at: Instant): Floor | undefined {
    return this.#floors[this.#countUntil(at) - 1];
  }

  #countUntil(at: Instant): number {
    if (this.#highest === undefined) {
      this.#floors.sort((a, b) => a.at - b.at);
      let highest = -1;
      this.#highest = this.#floors.map((floor) => (highest = Math.max(highest, floor.version)));
    }
    let low = 0;
    let high = this.#floors.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#floors[middle]!.at <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A value that Redis has, unless something happened to its key since `from`. */
interface Stored {
  readonly process: string;
  readonly id: string;
  readonly key: string;
  readonly version: number;
  readonly from: Instant;
  /** When its `set` was acknowledged, or when the store of a loaded value was acknowledged or failed. */
  readonly at: Instant;
}

/** A call that did not find a value. */
interface Miss extends Span {
  readonly process: string;
  readonly id: string;
  readonly key: string;
  readonly did: string;
}

class Checker {
  readonly #history: History;
  readonly #violations: Violation[] = [];
  readonly #exemptions: Partial<Record<Exemption, number>> = {};
  /** By process and key; by key alone for processes other than the caller. */
  readonly #own = { hard: new Map<string, Floors>(), soft: new Map<string, Floors>() };
  readonly #others = { hard: new Map<string, Floors>(), soft: new Map<string, Floors>() };
  readonly #changes = new Map<string, Change>();
  readonly #loadsOf: ReadonlyMap<string, readonly Load[]>;
  readonly #forcedReads: readonly Read[];
  readonly #excusedLoads = new Set<string>();
  readonly #due = { received: 0, asked: 0 };
  readonly #changesOf: ReadonlyMap<string, readonly Change[]>;
  readonly #reach: Reach;
  readonly #jumps: Jumps;
  readonly #lostVersions: LostVersions;
  /** By key, in the order of time. */
  readonly #storedOf: ReadonlyMap<string, readonly Stored[]>;
  /** In the order of their versions. */
  readonly #issuesOf: ReadonlyMap<string, readonly Issue[]>;

  constructor(history: History) {
    this.#history = history;
    this.#reach = new Reach(history);
    this.#jumps = new Jumps(history);
    this.#lostVersions = new LostVersions(history);
    const loads = history.loads.toSorted((a, b) => a.startedAt - b.startedAt);
    this.#loadsOf = Map.groupBy(loads, ({ key }) => key);
    this.#changesOf = changesByKey(history.changes);
    this.#storedOf = Map.groupBy(storedIn(history), ({ key }) => key);
    this.#forcedReads = history.reads.filter(({ forced }) => forced === true);
    this.#issuesOf = Map.groupBy(history.issues, ({ key }) => key);
    for (const change of history.changes) {
      this.#changes.set(change.id, change);
      if (change.endedAt === undefined || change.status === "failed") continue;
      for (const [key, version] of change.keys) {
        const settled = { version, at: change.endedAt, change, isReplay: false };
        floorsOf(this.#own[change.mode], `${change.process} ${key}`).add(settled);
        if (change.status === "acknowledged") floorsOf(this.#others[change.mode], key).add(settled);
        const replayedAt = this.#reach.replayedAt(change);
        if (replayedAt !== undefined)
          floorsOf(this.#others[change.mode], key).add({ version, at: replayedAt, change, isReplay: true });
      }
    }
  }

  verdict(): Verdict {
    const { reads, changes, loads, incidents } = this.#history;
    for (const read of reads) this.#judge(read);
    this.#judgeLoads();
    this.#judgeFinds();
    for (const load of loads) this.#judgeAbort(load);
    for (const read of reads) this.#judgeWait(read);
    for (const call of [...reads, ...changes]) this.#judgeBound(call);
    for (const { process, at, kind, text } of incidents)
      this.#violate({ rule: "untidy", at, ids: [], text: `${process}: ${kind}: ${text}` });
    return {
      violations: this.#violations.sort((a, b) => a.at - b.at),
      exemptions: this.#exemptions,
      checked: { reads: reads.length, changes: changes.length, loads: loads.length, ...this.#due },
      lagsMs: this.#lags(),
      healsMs: this.#heals(),
    };
  }

  #judge(read: Read): void {
    this.#judgeError(read);
    this.#countDue(read);
    const { version, strayKey, strayCall } = read;
    if (version === undefined) return;
    if (strayKey !== undefined) return this.#blame("forged", read, `answered the value of ${strayKey}`);
    if (strayCall !== undefined) return this.#blame("shared", read, `answered what was for ${strayCall} alone`);
    this.#judgeIssue(read, version);
    this.#judgeLife(read, version);
    // Each returns whether it found a violation; one is enough.
    void (
      this.#judgeCurrent(read, version) ||
      this.#judgeForced(read, version) ||
      this.#judgeOwn(read, version) ||
      this.#judgeElsewhere(read, version)
    );
  }

  #judgeError(read: Read): void {
    if (read.isAbandoned === true)
      this.#blame("abandoned", read, `rejected, since another caller had left: ${read.error}`);
    if (read.error !== undefined && !isExpected(read)) this.#blame("unexpected error", read, `rejected: ${read.error}`);
  }

  #judgeIssue(read: Read, version: number): void {
    if (version > this.#newestAt(read.key, read.endedAt))
      this.#blame("forged", read, `answered ${version}, which the source had not issued yet`);
  }

  #judgeCurrent(read: Read, version: number): boolean {
    const { after } = read;
    if (after !== undefined && version < after.version) {
      const change = this.#changes.get(after.change);
      // A soft change leaves the older value to be served as stale.
      const isDue = change?.mode !== "soft" || read.freshness === "fresh";
      const exemption = !isDue
        ? "not due"
        : change &&
          (this.#lost(change, read) ??
            this.#lateSet(version, read, change.endedAt ?? Infinity) ??
            this.#unmarked(change, read));
      if (exemption === undefined)
        return this.#older("current", read, after.version, after.change, "a change that was acknowledged before");
      if (exemption !== "not due") this.#exempt(exemption);
    }
    return false;
  }

  #judgeForced(read: Read, version: number): boolean {
    if (read.forced === true && read.tier !== undefined && read.tier !== "memory" && read.freshness === "fresh") {
      const before = this.#newestAt(read.key, read.startedAt);
      if (version < before)
        return this.#older("forced", read, before, undefined, "what the source had before the call");
    }
    return false;
  }

  #judgeOwn(read: Read, version: number): boolean {
    for (const mode of modesOf(read)) {
      for (const floor of floorsOf(this.#own[mode], `${read.process} ${read.key}`).above(version, read.startedAt)) {
        const exemption =
          this.#forgotten(floor.change, read) ??
          this.#lateSet(version, read, floor.at) ??
          this.#unmarked(floor.change, read);
        const rule = (this.#reach.replayedAt(floor.change) ?? Infinity) <= read.startedAt ? "reappeared" : "own";
        if (exemption === undefined)
          return this.#older(
            rule,
            read,
            floor.version,
            floor.change.id,
            `${mode === "soft" ? "as fresh, " : ""}its own ${floor.change.kind}`,
          );
        this.#exempt(exemption);
      }
    }
    return false;
  }

  #judgeElsewhere(read: Read, version: number): boolean {
    for (const mode of modesOf(read)) {
      const late = floorsOf(this.#others[mode], read.key).above(
        version,
        read.startedAt - this.#history.terms.maxStalenessMs,
      );
      for (const floor of late) {
        if (floor.change.process === read.process) continue;
        const exemption = this.#excuse(floor, read);
        if (exemption === undefined) {
          const rule = floor.isReplay ? "reappeared" : "elsewhere";
          return this.#older(
            rule,
            read,
            floor.version,
            floor.change.id,
            `${mode === "soft" ? "as fresh, " : ""}${(read.startedAt - floor.at).toFixed(1)} ms after the ${floor.isReplay ? "replay" : "acknowledgement"} of ${floor.change.kind} in ${floor.change.process}`,
          );
        }
        this.#exempt(exemption);
        break;
      }
    }
    return false;
  }

  #excuse(floor: Floor, read: Read): Exemption | undefined {
    return (
      this.#lost(floor.change, read) ??
      (this.#isFallback(read) && !this.#wasDue(floor, read) ? "fallback" : undefined) ??
      this.#lateSet(read.version!, read, floor.at) ??
      this.#unmarked(floor.change, read) ??
      this.#foreignDelete(floor, read)
    );
  }

  /** Whether a process had to obey a change although it could not reach Redis. */
  #wasDue(floor: Floor, read: Read): boolean {
    return this.#wasReceived(floor, read, read.version!) || this.#couldAsk(floor, read);
  }

  /**
   * Whether the process of a read had received a change before it lost Redis: nothing had disturbed it since the source
   * had the version that it answered, until the message must have arrived.
   */
  #wasReceived({ at }: Floor, { process, key }: Read, version: number): boolean {
    const issued = (this.#issuesOf.get(key) ?? []).find((issue) => issue.version === version);
    return !this.#reach.isDisturbed(process, issued?.at ?? 0, at + this.#history.terms.maxStalenessMs);
  }

  /** Whether it could ask for the versions of tags, as their primary answered: it alone decides on a change of tags. */
  #couldAsk({ change }: Floor, read: Read): boolean {
    return isTagCall(change) && this.#reach.reachesVersions(read);
  }

  /** Counts a read in an outage that had to obey a change, whatever it answered. */
  #countDue(read: Read): void {
    if (read.error !== undefined || read.after !== undefined || !this.#reach.mayFallBack(read)) return;
    const floor = floorsOf(this.#others.hard, read.key).last(read.startedAt - this.#history.terms.maxStalenessMs);
    if (floor === undefined || floor.change.process === read.process) return;
    if (this.#couldAsk(floor, read)) this.#due.asked += 1;
    else if (this.#wasReceived(floor, read, floor.version - 1)) this.#due.received += 1;
  }

  /**
   * Whether a read may be a fallback: the process' own copy, or a load that began in the same outage; never an answer
   * of the backend.
   */
  #isFallback(read: Read): boolean {
    if (read.after !== undefined) return false;
    const may = read.tier === undefined || read.tier === "memory" || (read.tier === "load" && read.coalesced === true);
    return may && this.#reach.mayFallBack(read);
  }

  #lost(change: Change, read: Read): Exemption | undefined {
    const forgotten = this.#forgotten(change, read);
    if (forgotten !== undefined) return forgotten;
    for (const fault of this.#lossesOf(change, read)) {
      const bothInStep = Math.max(
        this.#reach.inStepAt(change.process, fault),
        this.#reach.inStepAt(read.process, fault),
      );
      if (read.startedAt <= bothInStep + this.#history.terms.maxStalenessMs) return "lost, not yet re-issued";
    }
    return undefined;
  }

  #forgotten(change: Change, read: Read): Exemption | undefined {
    for (const fault of this.#lossesOf(change, read)) {
      const inStepAt = this.#reach.inStepAt(change.process, fault);
      const isDead = (this.#reach.diedAt(change.process) ?? Infinity) <= inStepAt;
      const isOld = fault.from - (change.endedAt ?? Infinity) > this.#history.terms.reissueWindowMs;
      if (change.process === FOREIGN || isDead || isOld) return "lost and forgotten";
    }
    return undefined;
  }

  /**
   * The faults before or during the read that may have lost an acknowledged change. After each it is issued again, and
   * may be lost again by the next: a snapshot may be from before that.
   */
  #lossesOf(change: Change, read: Read): readonly Fault[] {
    const losses: Fault[] = [];
    let settledAt = change.endedAt ?? Infinity;
    for (const fault of this.#history.faults) {
      if (fault.losesSince === undefined || read.endedAt < fault.from || settledAt < fault.losesSince) continue;
      if (change.startedAt > Math.max(fault.to, this.#reach.inStepAt(change.process, fault, "is ignored"))) continue;
      losses.push(fault);
      settledAt = Math.max(settledAt, this.#reach.inStepAt(change.process, fault));
    }
    return losses;
  }

  #lateSet(version: number, read: Read, floorAt: Instant): Exemption | undefined {
    const { ttlMs, staleMs, maxStalenessMs } = this.#history.terms;
    const isLate = (this.#changesOf.get(read.key) ?? []).some((change) => {
      if (
        !isSet(change) ||
        change.process === read.process ||
        !change.keys.some(([key, set]) => key === read.key && set === version)
      )
        return false;
      const replayedAt = this.#reach.replayedAt(change);
      if (replayedAt !== undefined) return floorAt <= replayedAt && read.startedAt <= replayedAt + maxStalenessMs;
      const arrivedAt = this.#lastArrival(change);
      return arrivedAt !== undefined && floorAt <= arrivedAt && read.startedAt <= arrivedAt + ttlMs + staleMs;
    });
    return isLate ? "set with unknown outcome" : undefined;
  }

  /** The last instant at which a `set` that was neither acknowledged nor replayed may have arrived. */
  #lastArrival(change: Change): Instant | undefined {
    const lostAt = change.status === "failed" ? change.endedAt : this.#reach.diedAt(change.process);
    if (change.status === "acknowledged" || lostAt === undefined) return undefined;
    const thawedAt = Math.max(
      lostAt,
      ...this.#history.faults.filter(({ from, to }) => from <= lostAt && lostAt <= to).map(({ to }) => to),
    );
    return thawedAt + DELIVERED_MS;
  }

  /** Marked entries alone: versions of tags have no instants. */
  #unmarked(change: Change, read: Read): Exemption | undefined {
    if (change.kind !== "markStale") return undefined;
    const marked = { from: change.startedAt, to: this.#overAt(change) };
    return this.#jumps.mayBeFreshAgain(marked, read.startedAt) ? "clock set back after markStale" : undefined;
  }

  /** A load that began before the delete and was joined after it: until it is given up. */
  #foreignDelete({ change, at }: Floor, read: Read): Exemption | undefined {
    if (change.process !== FOREIGN) return undefined;
    const isJoined = (this.#loadsOf.get(read.key) ?? []).some(
      (load) =>
        load.process === read.process &&
        load.version === read.version &&
        load.startedAt < at &&
        (load.endedAt ?? Infinity) >= read.startedAt &&
        read.startedAt <= load.startedAt + this.#history.terms.loadTimeoutMs + LOOK_MS,
    );
    return isJoined ? "foreign delete during a load" : undefined;
  }

  /** A value ends with its life, counted from the last load, `set` or `touch` that may have given it one. */
  #judgeLife(read: Read, version: number): void {
    const { ttlMs, staleMs } = this.#history.terms;
    const isFresh = read.freshness === "fresh";
    const lifeMs = isFresh ? ttlMs : ttlMs + staleMs;
    const origins = this.#originsOf(read, version);
    if (origins.length === 0) return;
    const storedAt = Math.max(...origins.map(({ to }) => to));
    const endsAt = origins.map(({ from, to }) => {
      const latest = to + this.#onTheWayMs(to, read.startedAt);
      const jumpedMs = this.#jumps.longerMs({ from, to: latest }, read.startedAt, isFresh ? "freshness" : "life");
      return latest + lifeMs + jumpedMs;
    });
    if (read.startedAt <= Math.max(...endsAt)) return;
    const after = `${(read.startedAt - storedAt).toFixed(0)} ms after it was loaded or set; ${lifeMs} ms is the most`;
    this.#blame("outlived", read, `answered ${version}${isFresh ? " as fresh" : ""}, ${after}`, read.startedAt);
  }

  /** The times of the loads and `set`s that may have stored a version: it was stored after each, or within it. */
  #originsOf(read: Read, version: number): readonly Span[] {
    const { clockAgeMs = 0 } = this.#history.terms;
    const loaded = (this.#loadsOf.get(read.key) ?? [])
      .filter((load) => load.version === version && load.startedAt <= read.endedAt)
      // A process that computes the end of an entry asked for the time before the load.
      .map(({ calledAt, endedAt = Infinity }) => ({ from: clockAgeMs === 0 ? endedAt : calledAt, to: endedAt }));
    const set = (this.#changesOf.get(read.key) ?? [])
      .filter((change) => isTouch(change) || change.keys.some(([key, each]) => key === read.key && each === version))
      .filter((change) => isTouch(change) || isSet(change))
      .map((change) => ({ from: change.startedAt, to: this.#overAt(change) }));
    return [...loaded, ...set];
  }

  /** How much later than its loader ended a value may have been stored: the store may have been sent into a fault. */
  #onTheWayMs(from: Instant, to: Instant): number {
    const { faults, stalls, terms } = this.#history;
    const pausedMs = [...faults.filter((fault) => !isJump(fault)), ...stalls]
      .filter((pause) => overlap(pause, { from, to }))
      .reduce((sum, pause) => sum + (pause.to - pause.from), 0);
    return pausedMs === 0 ? LOOK_MS : pausedMs + terms.responseTimeoutMs;
  }

  #judgeLoads(): void {
    for (const [key, loads] of this.#loadsOf) {
      const running: Load[] = [];
      for (const load of loads) {
        for (let i = running.length - 1; i >= 0; i -= 1) {
          const before = running[i]!;
          if ((before.endedAt ?? this.#reach.diedAt(before.process) ?? Infinity) <= load.startedAt)
            running.splice(i, 1);
          else if (!this.#maySecondLoadRun(key, before, load))
            this.#violate({
              rule: "two loads",
              at: load.startedAt,
              key,
              ids: [before.id, load.id],
              text: `${load.process} began to load ${key} while ${before.process} had been loading it for ${(load.startedAt - before.startedAt).toFixed(1)} ms, and nothing had changed it`,
            });
        }
        running.push(load);
      }
    }
  }

  #maySecondLoadRun(key: string, first: Load, second: Load): boolean {
    if (first.forced || second.forced) return true;
    if (second.startedAt - first.startedAt >= this.#history.terms.loadTimeoutMs) return true;
    if (this.#isExcusedAlone(first) || this.#isExcusedAlone(second)) {
      if (!this.#excusedLoads.has(second.id)) this.#exempt("load without a lease");
      this.#excusedLoads.add(second.id);
      return true;
    }
    if (isMarked(this.#history, this.#loadsOf.get(key) ?? [], second)) {
      this.#exempt("load after one that stored nothing");
      return true;
    }
    // From the request for the first lease: a change after it fenced that load, which continues for its callers. A
    // change while its caller still waited for the load of another process explains nothing.
    const span = { from: Math.min(askedAt(first), askedAt(second)), to: second.startedAt };
    return (
      this.#isForcedWithin(key, span) ||
      this.#isChangedWithin(key, span) ||
      this.#isEmptiedWithin(key, span) ||
      this.#hasGivenUp(first, second) ||
      this.#isReplayedWithin(key, span) ||
      this.#isLeaseLostWithin([first, second], span) ||
      this.#jumps.mayEndLease(span) ||
      (gaveUpBefore(first, second) && this.#lostVersions.mayOutdate(key, { id: first.id, asked: askedAt(first) }))
    );
  }

  /**
   * A load is given up at its `loadTimeout`, or where none of its callers is left. A caller that came later counts, if
   * it could join: nothing had happened to the key, or to its process, and it accepts values that are being loaded.
   */
  #judgeAbort({ process, id, key, calledAt, startedAt, abortedAt }: Load): void {
    if (abortedAt === undefined || abortedAt - startedAt >= this.#history.terms.loadTimeoutMs - TIMER_MS) return;
    const span = { from: calledAt, to: abortedAt };
    const waiting = this.#history.reads.find(
      (read) =>
        read.process === process &&
        read.key === key &&
        read.kind === "getOrSet" &&
        read.forced !== true &&
        read.after === undefined &&
        read.startedAt > startedAt &&
        read.startedAt <= abortedAt - WAITS_MS &&
        read.endedAt >= abortedAt + WAITS_MS,
    );
    if (
      waiting === undefined ||
      this.#isChangedWithin(key, span) ||
      this.#isEmptiedWithin(key, span) ||
      this.#isForcedWithin(key, span) ||
      this.#isReplayedWithin(key, span) ||
      this.#reach.isDisturbed(process, span.from - LEASE_MS, span.to)
    )
      return;
    this.#violate({
      rule: "abandoned",
      at: abortedAt,
      key,
      ids: [id, waiting.id],
      text: `${process}: the load of ${key} was given up after ${(abortedAt - startedAt).toFixed(0)} ms, while a caller had been waiting for it for ${(abortedAt - waiting.startedAt).toFixed(0)} ms`,
    });
  }

  /**
   * A load runs without a lease where the backend granted none in time, or failed, or where a call of its own process
   * overtook it while it waited: it gives the lease up immediately, and continues for its callers. Nor does a process
   * ask for one while an invalidation of the key is to be replayed, or issued again, and the backend refuses that.
   */
  #isExcusedAlone(load: Load): boolean {
    if (load.isAlone !== true) return false;
    const { process, key, calledAt, startedAt } = load;
    const span = { from: calledAt, to: startedAt };
    return (
      this.#reach.isCutOff(process, calledAt, startedAt) ||
      startedAt - calledAt >= this.#history.terms.responseTimeoutMs - TIMER_MS ||
      this.#isChangedWithin(key, span, (change) => change.process === process) ||
      this.#isReplayedWithin(key, { from: calledAt, to: this.#reach.pendingUntil(process, span) }, process)
    );
  }

  /**
   * Whether the first load gave its lease up for a tag call: its message may come later than its acknowledgement, and
   * then also the request for the lease was later.
   */
  #hasGivenUp(first: Load, second: Load): boolean {
    const span = { from: askedAt(first) - LOOK_MS, to: first.givenUpAt ?? -Infinity };
    return gaveUpBefore(first, second) && this.#isChangedWithin(first.key, span, isTagCall);
  }

  #isForcedWithin(key: string, span: Span): boolean {
    const isLoaded = (this.#loadsOf.get(key) ?? []).some(
      (load) => load.forced && overlap({ from: load.calledAt, to: load.endedAt ?? Infinity }, span),
    );
    return (
      isLoaded ||
      this.#forcedReads.some((read) => read.key === key && overlap({ from: read.startedAt, to: read.endedAt }, span)) ||
      this.#history.removals.some((each) => each.takesLease === true && each.key === key && overlap(each, span))
    );
  }

  /** A `touch` changes nothing that another call waits for. A `set` under a fence overtakes loads as any other does. */
  #isChangedWithin(key: string, span: Span, counts: (change: Change) => boolean = () => true): boolean {
    return (this.#changesOf.get(key) ?? []).some(
      (change) =>
        change.kind !== "touch" &&
        counts(change) &&
        overlap({ from: change.startedAt, to: this.#overAt(change) }, span),
    );
  }

  /** Whether a load that found nothing may have removed what was there, and its lease. */
  #isEmptiedWithin(key: string, span: Span): boolean {
    return (this.#loadsOf.get(key) ?? []).some(
      ({ isNothing, calledAt, endedAt = Infinity }) =>
        isNothing === true && overlap({ from: calledAt, to: endedAt + this.#history.terms.responseTimeoutMs }, span),
    );
  }

  /**
   * Whether a process that has changed this key replayed changes, or issued them again after a change of servers.
   *
   * @param by that process. @default any
   */
  #isReplayedWithin(key: string, span: Span, by?: string): boolean {
    return this.#history.removals.some(
      (removal) =>
        removal.takesLease !== true &&
        (by === undefined || removal.process === by) &&
        overlap(removal, span) &&
        (removal.key === key || (removal.key === undefined && this.#reach.isReplaying(removal))) &&
        this.#hasChanged(removal.process, key, removal.from),
    );
  }

  /**
   * After a change of servers also until both processes are in step: until then one of them may use the old server.
   */
  #isLeaseLostWithin(loads: readonly Load[], span: Span): boolean {
    return this.#history.faults.some((fault) => {
      if (fault.losesLeases !== true) return false;
      const inStepAt = loads.map(({ process }) => this.#reach.inStepAt(process, fault));
      const to = fault.splits === true ? Math.max(fault.to, ...inStepAt) : fault.to;
      return overlap({ from: fault.from, to }, span);
    });
  }

  /** Whether a process began to change a key before this instant. A forced load changes it too. */
  #hasChanged(process: string, key: string, before: Instant): boolean {
    return (
      (this.#changesOf.get(key) ?? []).some((change) => change.process === process && change.startedAt <= before) ||
      (this.#loadsOf.get(key) ?? []).some((load) => load.process === process && load.forced && load.startedAt <= before)
    );
  }

  /** A value that was stored is found while it is fresh, and nothing happens to its key or to any process. */
  #judgeFinds(): void {
    const { reads, loads, terms } = this.#history;
    for (const { process, id, kind, key, startedAt, endedAt, version, error } of reads)
      if (/^get(Many|, stale too)?$/.test(kind) && version === undefined && error === undefined)
        this.#judgeFind(
          { process, id, key, from: startedAt, to: endedAt, did: `${kind} ${key} found nothing` },
          terms.ttlMs,
        );
    // A refresh ahead of time begins in the second half of the life.
    for (const { process, id, key, forced, calledAt, startedAt } of loads)
      if (!forced)
        this.#judgeFind(
          { process, id, key, from: calledAt, to: startedAt, did: `began to load ${key}` },
          terms.ttlMs / 2,
        );
  }

  #judgeFind({ process, id, key, from, to, did }: Miss, freshMs: number): void {
    const stored = (this.#storedOf.get(key) ?? []).findLast(({ at }) => at <= from);
    if (stored === undefined || to + ROUNDED_MS + this.#slowMs(stored, { key, from, to }) >= stored.from + freshMs)
      return;
    const span = { from: stored.from, to };
    const isChanged =
      this.#isChangedWithin(key, span, (change) => change.id !== stored.id && !isTouch(change)) ||
      this.#isEmptiedWithin(key, span) ||
      this.#isReplayedWithin(key, span) ||
      // It takes the lease over: the value is not stored.
      this.#isForcedWithin(key, { from: stored.from, to: stored.at }) ||
      this.#jumps.mayEndEarly({ from: stored.from, to: stored.at }, to);
    // A process that asked slowly for the clock of a server takes entries for older until it asks again.
    const undisturbedFrom = span.from - (this.#history.terms.clockAgeMs ?? 0);
    if (
      isChanged ||
      this.#history.processes.some(({ name }) => this.#reach.isDisturbed(name, undisturbedFrom, span.to)) ||
      this.#lostVersions.mayOutdate(key, { id: stored.id, asked: stored.from })
    )
      return;
    this.#violate({
      rule: "missed",
      at: to,
      key,
      ids: [id, stored.id],
      text: `${process}: ${did}, ${(from - stored.at).toFixed(0)} ms after ${stored.process} had stored ${stored.version}, and nothing had happened to it`,
    });
  }

  /**
   * A slow answer shortens a life by the time that it takes. Where a process then loads, the entry ends for all: its
   * lease removes an entry that has ended for it.
   */
  #slowMs({ at }: Stored, { key, from, to }: Pick<Miss, "key" | "from" | "to">): number {
    const loads = (this.#loadsOf.get(key) ?? []).filter(({ calledAt }) => calledAt >= at && calledAt <= to);
    return Math.max(to - from, ...loads.map(({ calledAt, askedAt, startedAt }) => (askedAt ?? startedAt) - calledAt));
  }

  /** The instant from which no command of a change can still arrive. */
  #overAt(change: Change): Instant {
    if (change.endedAt !== undefined && change.status !== "pending") return change.endedAt;
    return this.#reach.replayedAt(change) ?? (this.#reach.diedAt(change.process) ?? Infinity) + DELIVERED_MS;
  }

  /**
   * Judged only while nothing was broken: the lease of a killed process simply ends, and a process that cannot reach
   * Redis waits for that.
   */
  #judgeWait(read: Read): void {
    const span = { from: read.startedAt, to: read.endedAt };
    if (
      read.kind !== "getOrSet" ||
      span.to - span.from <= SLEEP_MS ||
      this.#reach.isDisturbed(read.process, span.from - LEASE_MS, span.to)
    )
      return;
    const mayWait = this.#history.faults.some(
      (fault) =>
        !isJump(fault) &&
        (overlap(fault, span) || (fault.from <= span.to && this.#jumps.mayHold(this.#lastGrantBefore(fault), span))),
    );
    if (mayWait) return;
    // The end of each load wakes who waits: the longest time between two counts.
    let idleFrom = span.from;
    let idleMs = 0;
    const after = { process: read.process, startedAt: span.to, endedAt: span.to };
    for (const { process, startedAt, endedAt } of [...(this.#loadsOf.get(read.key) ?? []), after]) {
      const to = Math.min(startedAt, span.to);
      if (to > idleFrom) idleMs = Math.max(idleMs, to - idleFrom - this.#reach.stalledMs(read.process, idleFrom, to));
      idleFrom = Math.max(idleFrom, endedAt ?? this.#reach.diedAt(process) ?? Infinity);
    }
    if (idleMs > SLEEP_MS) this.#blame("slept", read, `waited ${idleMs.toFixed(0)} ms in which no process loaded it`);
  }

  /** The last instant at which a lease was granted that a fault keeps from its holder. A killed process takes none. */
  #lastGrantBefore({ processes = [], to }: Fault): Instant {
    const died = processes.map((process) => this.#reach.diedAt(process) ?? to);
    return Math.min(to, ...died);
  }

  #judgeBound(call: Read | Change): void {
    if (call.endedAt === undefined) return;
    const tookMs = call.endedAt - call.startedAt - this.#reach.stalledMs(call.process, call.startedAt, call.endedAt);
    if (tookMs > call.boundMs + this.#history.terms.slackMs)
      this.#violate({
        rule: "unbounded",
        at: call.endedAt,
        ids: [call.id],
        ...("key" in call && { key: call.key }),
        text: `${call.process}: ${call.kind} took ${tookMs.toFixed(0)} ms; ${call.boundMs} ms is the most its options allow`,
      });
  }

  #older(rule: Rule, read: Read, floor: number, change: string | undefined, after: string): true {
    const how = read.tier === undefined ? "" : ` from ${read.tier}`;
    const ids = change === undefined ? [] : [change];
    this.#blame(rule, read, `answered ${read.version}${how}; ${floor} was due: ${after}`, read.startedAt, ids);
    return true;
  }

  /** The newest version of the source at that instant. */
  #newestAt(key: string, at: Instant): number {
    const issues = this.#issuesOf.get(key) ?? [];
    let low = 0;
    let high = issues.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (issues[middle]!.at <= at) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 1 : issues[low - 1]!.version;
  }

  #lags(): readonly number[] {
    const lags: number[] = [];
    const readsOf = Map.groupBy(this.#history.reads, ({ process, key }) => `${process} ${key}`);
    for (const reads of readsOf.values())
      reads.sort((a, b) => (a.firstStartedAt ?? a.startedAt) - (b.firstStartedAt ?? b.startedAt));
    for (const change of this.#history.changes) {
      if (change.mode === "soft" || change.status !== "acknowledged" || change.process === FOREIGN) continue;
      for (const { name } of this.#history.processes) {
        if (name === change.process) continue;
        for (const [key, version] of change.keys) {
          const reads = readsOf.get(`${name} ${key}`) ?? [];
          const first = firstAfter(reads, change.endedAt!);
          if (
            first === undefined ||
            (reads[first]!.firstStartedAt ?? reads[first]!.startedAt) - change.endedAt! > WATCHED_MS
          )
            continue;
          const correct = reads.slice(first).find((read) => (read.version ?? Infinity) >= version);
          if (correct === undefined || this.#reach.isDisturbed(name, change.startedAt, correct.startedAt)) continue;
          lags.push(Math.max(0, (correct.firstStartedAt ?? correct.startedAt) - change.endedAt!));
        }
      }
    }
    return lags;
  }

  #heals(): readonly number[] {
    return this.#history.faults.flatMap((fault) =>
      this.#history.processes
        .filter(
          ({ name, bornAt, diedAt }) =>
            bornAt <= fault.from &&
            diedAt === undefined &&
            (fault.processes === undefined || fault.processes.includes(name)),
        )
        .map(({ name }) => this.#reach.inStepAt(name, fault) - fault.to)
        .filter(Number.isFinite),
    );
  }

  #blame(rule: Rule, read: Read, text: string, at: Instant = read.endedAt, others: readonly string[] = []): void {
    const { process, id, kind, key } = read;
    this.#violate({ rule, at, key, ids: [id, ...others], text: `${process}: ${kind} ${key} ${text}` });
  }

  #violate(violation: Violation): void {
    this.#violations.push(violation);
  }

  #exempt(exemption: Exemption): void {
    this.#exemptions[exemption] = (this.#exemptions[exemption] ?? 0) + 1;
  }
}

/** The time after the death of its process, or the thaw of its server, in which a command may still arrive. */
const DELIVERED_MS = 500;
/**
 * A life is rounded down by less than a millisecond five times: at its begin, in the time left that is sent, in the
 * clock of Redis, in the time left that it replies with, and at the instant of the read.
 */
const ROUNDED_MS = 5;
/** A timer may fire this much before its time, as other clocks count. */
const TIMER_MS = 5;
/** A process that asks this soon after an acknowledgement, and keeps asking, sees when the change arrives. */
const WATCHED_MS = 2;

/** A call that is about to be answered, or has just begun, is not judged by the clock of another event. */
const WAITS_MS = 10;
/** A waiter looks again after 1 s, also without a message; the rest is for a busy machine. */
const SLEEP_MS = 1_400;

/** The modes of changes after which a read may not answer the replaced value. */
const modesOf = ({ freshness }: Read): readonly Change["mode"][] =>
  freshness === "fresh" ? ["hard", "soft"] : ["hard"];

/** Errors of a loader, and the end of a wait that the call itself had set. */
const isExpected = ({ kind, error }: Read): boolean =>
  kind.startsWith("getOrSet") &&
  /^(SourceError|LoadTimeoutError|AbortError)\b|; because of SourceError$/.test(error ?? "");

const isTagCall = ({ kind }: Change): boolean => /Tags|clear/.test(kind);

/** Whether a change replaces no version. */
const isTouch = ({ kind }: Change): boolean => kind === "touch" || kind === "fenced set";

const isSet = ({ kind }: Change): boolean => /^(set|setMany|foreignSet)$/.test(kind);

/**
 * A loaded value is stored if none of its tags was called meanwhile. Calls of other tags do not count.
 * So it is where the value that it replaces ended while the loader ran: a value that was marked stale ends with its
 * window.
 */
function storedIn({ loads, changes, stalls, terms }: History): readonly Stored[] {
  /** A process stores within `responseTimeout` in which it runs. */
  const storedBy = (process: string, endedAt: Instant): Instant => {
    let at = endedAt + terms.responseTimeoutMs;
    for (const stall of stalls)
      if (stall.process === process && overlap(stall, { from: endedAt, to: at })) at += stall.to - stall.from;
    return at;
  };
  const tagCalls = changes.filter(isTagCall);
  const loaded = loads.flatMap(({ process, id, key, version, calledAt, endedAt, isToStore, isAlone }) => {
    if (isToStore !== true || isAlone === true) return [];
    const at = storedBy(process, endedAt!);
    const isCalled = tagCalls.some(
      (call) =>
        call.keys.some(([each]) => each === key) &&
        overlap({ from: call.startedAt, to: call.endedAt ?? Infinity }, { from: calledAt, to: at }),
    );
    const hasEnded = changes.some(
      ({ kind, keys, startedAt, endedAt: markedAt }) =>
        kind === "markStale" &&
        markedAt !== undefined &&
        keys.some(([each]) => each === key) &&
        overlap(
          { from: startedAt + terms.staleMs, to: markedAt + terms.staleMs },
          { from: calledAt, to: endedAt! + LOOK_MS },
        ),
    );
    return isCalled || hasEnded ? [] : [{ process, id, key, version: version!, from: calledAt, at }];
  });
  const set = changes.flatMap(({ process, id, kind, keys, status, startedAt, endedAt }) =>
    (kind === "set" || kind === "setMany") && status === "acknowledged"
      ? keys.map(([key, version]) => ({ process, id, key, version, from: startedAt, at: endedAt! }))
      : [],
  );
  return [...loaded, ...set].sort((a, b) => a.at - b.at);
}

/** By each key that a change covers. */
function changesByKey(changes: readonly Change[]): ReadonlyMap<string, readonly Change[]> {
  const groups = new Map<string, Change[]>();
  for (const change of changes)
    for (const key of new Set([...change.keys.map(([each]) => each), ...(change.touches ?? [])]))
      (groups.get(key) ?? put(groups, key, [])).push(change);
  return groups;
}

function floorsOf(map: Map<string, Floors>, key: string): Floors {
  return map.get(key) ?? put(map, key, new Floors());
}

function put<K, V>(map: Map<K, V>, key: K, value: V): V {
  map.set(key, value);
  return value;
}

/** Index of the first read that began at `at` or later; for a read that is a record of many, if its last one did. */
function firstAfter(reads: readonly Read[], at: Instant): number | undefined {
  const index = reads.findIndex((read) => read.startedAt >= at);
  return index < 0 ? undefined : index;
}
