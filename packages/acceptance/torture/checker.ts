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

/**
 * The violations that a history can show:
 *
 * - `own`: in the process of a change, a read that began after the call had settled answered the replaced value.
 * - `elsewhere`: another process did so later than `maxStaleness` after the acknowledgement.
 * - `token`: a read with an `after` token did, in any process, at any time.
 * - `forced`: a forced load answered a value that had been replaced before the call.
 * - `reappeared`: a value with a pending change came back after the replay.
 * - `two loads`: two processes loaded one key at a time.
 * - `slept`: a call waited for a load elsewhere that did not run, and was not woken before it looked again by itself.
 * - `unbounded`: a call took longer than its options allow.
 * - `forged`: a value that the source never had, or another key's.
 * - `unexpected error`: a call rejected that never may reject.
 * - `untidy`: an unhandled rejection, a leak, a call that never settled, a process that did not heal.
 */
export type Rule =
  | "own"
  | "elsewhere"
  | "token"
  | "forced"
  | "reappeared"
  | "two loads"
  | "slept"
  | "unbounded"
  | "forged"
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

/**
 * The reasons why an answer that looks wrong is right. docs/guide/what-is-promised.md lists each under what is not
 * promised.
 *
 * - `fallback`: the process could not reach Redis, and served its own copy, or joined a load begun in the same outage.
 * - `lost, not yet re-issued`: the servers lost the acknowledged write; its process has not issued it again yet.
 * - `lost, nobody remembers`: the servers lost it, and its process has died, or it is older than `reissueWindow`.
 * - `set with unknown outcome`: it arrived before its replay, or after the death of its process.
 * - `load without a lease`: the backend granted none within the time that the call may wait for it.
 * - `foreign delete during a load`: a key that Redis does not hold was deleted by another program; callers that joined
 * the load are not notified.
 */
export type Exemption =
  | "fallback"
  | "lost, not yet re-issued"
  | "lost, nobody remembers"
  | "set with unknown outcome"
  | "load without a lease"
  | "foreign delete during a load";

export interface Verdict {
  readonly violations: readonly Violation[];
  /** The number of uses of each. */
  readonly exemptions: Readonly<Partial<Record<Exemption, number>>>;
  /** The number of things checked. */
  readonly checked: { readonly reads: number; readonly changes: number; readonly loads: number };
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
    if (this.#highest === undefined) {
      this.#floors.sort((a, b) => a.at - b.at);
      let highest = -1;
      this.#highest = this.#floors.map((floor) => (highest = Math.max(highest, floor.version)));
    }
    let low = 0;
    let high = this.#floors.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#floors[middle]!.at <= startedAt) low = middle + 1;
      else high = middle;
    }
    if (low === 0 || this.#highest[low - 1]! <= version) return [];
    return this.#floors
      .slice(0, low)
      .filter((floor) => floor.version > version)
      .sort((a, b) => b.version - a.version);
  }
}

interface Span {
  readonly from: Instant;
  readonly to: Instant;
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
  /** The spans in which each process could not reach its backend, as it reports itself. */
  readonly #cutOff: ReadonlyMap<string, readonly Span[]>;
  readonly #diedAt: ReadonlyMap<string, Instant>;
  /** In the order of their versions. */
  readonly #issuesOf: ReadonlyMap<string, readonly Issue[]>;

  constructor(history: History) {
    this.#history = history;
    this.#diedAt = new Map(
      history.processes.flatMap(({ name, diedAt }) => (diedAt === undefined ? [] : [[name, diedAt] as const])),
    );
    this.#loadsOf = grouped(history.loads, ({ key }) => key);
    this.#cutOff = new Map(history.processes.map(({ name }) => [name, this.#spansOfNoReach(name)]));
    this.#forcedReads = history.reads.filter(({ forced }) => forced === true);
    this.#issuesOf = grouped(history.issues, ({ key }) => key);
    for (const change of history.changes) {
      this.#changes.set(change.id, change);
      if (change.endedAt === undefined || change.status === "failed") continue;
      for (const [key, version] of change.keys) {
        const settled = { version, at: change.endedAt, change, isReplay: false };
        floorsOf(this.#own[change.mode], `${change.process} ${key}`).add(settled);
        if (change.status === "acknowledged") floorsOf(this.#others[change.mode], key).add(settled);
        const replayedAt = this.#replayedAt(change);
        if (replayedAt !== undefined)
          floorsOf(this.#others[change.mode], key).add({ version, at: replayedAt, change, isReplay: true });
      }
    }
  }

  verdict(): Verdict {
    const { reads, changes, loads, incidents } = this.#history;
    for (const read of reads) this.#judge(read);
    this.#judgeLoads();
    for (const read of reads) this.#judgeWait(read);
    for (const call of [...reads, ...changes]) this.#judgeBound(call);
    for (const { process, at, kind, text } of incidents)
      this.#violate({ rule: "untidy", at, ids: [], text: `${process}: ${kind}: ${text}` });
    return {
      violations: this.#violations.sort((a, b) => a.at - b.at),
      exemptions: this.#exemptions,
      checked: { reads: reads.length, changes: changes.length, loads: loads.length },
      lagsMs: this.#lags(),
      healsMs: this.#heals(),
    };
  }

  #judge(read: Read): void {
    this.#judgeError(read);
    const { version, strayKey } = read;
    if (version === undefined) return;
    if (strayKey !== undefined) return this.#stray(read, strayKey);
    this.#judgeIssue(read, version);
    // Each returns whether it found a violation; one is enough.
    void (
      this.#judgeToken(read, version) ||
      this.#judgeForced(read, version) ||
      this.#judgeOwn(read, version) ||
      this.#judgeElsewhere(read, version)
    );
  }

  #judgeError(read: Read): void {
    if (read.error !== undefined && !isExpected(read)) {
      this.#violate({
        rule: "unexpected error",
        at: read.endedAt,
        key: read.key,
        ids: [read.id],
        text: `${read.process}: ${read.kind} ${read.key} rejected: ${read.error}`,
      });
    }
  }

  #stray(read: Read, strayKey: string): void {
    this.#violate({
      rule: "forged",
      at: read.endedAt,
      key: read.key,
      ids: [read.id],
      text: `${read.process}: ${read.kind} ${read.key} answered the value of ${strayKey}`,
    });
  }

  #judgeIssue(read: Read, version: number): void {
    if (version > this.#newestAt(read.key, read.endedAt))
      this.#violate({
        rule: "forged",
        at: read.endedAt,
        key: read.key,
        ids: [read.id],
        text: `${read.process}: ${read.kind} ${read.key} answered ${version}, which the source had not issued yet`,
      });
  }

  #judgeToken(read: Read, version: number): boolean {
    const token = read.after;
    if (token !== undefined && version < token.version) {
      const change = this.#changes.get(token.change);
      // A soft change leaves the older value to be served as stale.
      const isDue = change?.mode !== "soft" || read.freshness === "fresh";
      const exemption = !isDue
        ? "not due"
        : change && (this.#lost(change, read) ?? this.#lateSet(version, read, change.endedAt ?? Infinity));
      if (exemption === undefined)
        return this.#older("token", read, token.version, token.change, "the write whose token it carried");
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
        const exemption = this.#forgotten(floor.change, read) ?? this.#lateSet(version, read, floor.at);
        const rule = (this.#replayedAt(floor.change) ?? Infinity) <= read.startedAt ? "reappeared" : "own";
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
      (this.#isFallback(read) ? "fallback" : undefined) ??
      this.#lateSet(read.version!, read, floor.at) ??
      this.#foreignDelete(floor, read)
    );
  }

  /** A copy of its own, or a load that began in the same outage; never an answer of the backend. */
  #isFallback(read: Read): boolean {
    if (read.after !== undefined) return false;
    const may = read.tier === undefined || read.tier === "memory" || (read.tier === "load" && read.coalesced === true);
    return may && this.#isCutOff(read.process, read.startedAt, read.endedAt);
  }

  #lost(change: Change, read: Read): Exemption | undefined {
    const forgotten = this.#forgotten(change, read);
    if (forgotten !== undefined) return forgotten;
    for (const fault of this.#lossesOf(change, read)) {
      const bothInStep = Math.max(this.#inStepAt(change.process, fault), this.#inStepAt(read.process, fault));
      if (read.startedAt <= bothInStep + this.#history.terms.maxStalenessMs) return "lost, not yet re-issued";
    }
    return undefined;
  }

  #forgotten(change: Change, read: Read): Exemption | undefined {
    for (const fault of this.#lossesOf(change, read)) {
      const inStepAt = this.#inStepAt(change.process, fault);
      const isDead = (this.#diedAt.get(change.process) ?? Infinity) <= inStepAt;
      const isOld = inStepAt - (change.endedAt ?? Infinity) > this.#history.terms.reissueWindowMs;
      if (change.process === FOREIGN || isDead || isOld) return "lost, nobody remembers";
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
      if (change.startedAt > Math.max(fault.to, this.#inStepAt(change.process, fault, "is ignored"))) continue;
      losses.push(fault);
      settledAt = Math.max(settledAt, this.#inStepAt(change.process, fault));
    }
    return losses;
  }

  #lateSet(version: number, read: Read, floorAt: Instant): Exemption | undefined {
    const isLate = this.#history.changes.some((change) => {
      if (
        !/^(set|foreignSet)$/.test(change.kind) ||
        change.process === read.process ||
        !change.keys.some(([key, set]) => key === read.key && set === version)
      )
        return false;
      if (change.status === "pending") return floorAt <= (this.#replayedAt(change) ?? Infinity);
      const lostAt =
        change.status === "failed"
          ? change.endedAt
          : change.endedAt === undefined
            ? this.#diedAt.get(change.process)
            : undefined;
      if (lostAt === undefined) return false;
      const thawedAt = Math.max(
        lostAt,
        ...this.#history.faults.filter(({ from, to }) => from <= lostAt && lostAt <= to).map(({ to }) => to),
      );
      return floorAt <= thawedAt + DELIVERED_MS;
    });
    return isLate ? "set with unknown outcome" : undefined;
  }

  #foreignDelete({ change, at }: Floor, read: Read): Exemption | undefined {
    if (change.process !== FOREIGN) return undefined;
    const isJoined = (this.#loadsOf.get(read.key) ?? []).some(
      (load) =>
        load.process === read.process &&
        load.version === read.version &&
        load.startedAt < at &&
        (load.endedAt ?? Infinity) >= read.startedAt,
    );
    return isJoined ? "foreign delete during a load" : undefined;
  }

  #judgeLoads(): void {
    for (const [key, loads] of this.#loadsOf) {
      const running: Load[] = [];
      for (const load of [...loads].sort((a, b) => a.startedAt - b.startedAt)) {
        for (let i = running.length - 1; i >= 0; i -= 1) {
          const before = running[i]!;
          if ((before.endedAt ?? this.#diedAt.get(before.process) ?? Infinity) <= load.startedAt) running.splice(i, 1);
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
    if (first.isAlone === true || second.isAlone === true) {
      if (!this.#excusedLoads.has(second.id)) this.#exempt("load without a lease");
      this.#excusedLoads.add(second.id);
      return true;
    }
    // From the earlier call: a change after it fenced that load, which goes on for its callers without a lease.
    const span = { from: Math.min(first.calledAt, second.calledAt), to: second.startedAt };
    if (
      (this.#loadsOf.get(key) ?? []).some(
        (load) => load.forced && overlap({ from: load.calledAt, to: load.endedAt ?? Infinity }, span),
      )
    )
      return true;
    // A forced load whose caller left still takes the lease over, once it reaches the backend.
    if (
      this.#forcedReads.some(
        (read) =>
          read.key === key &&
          overlap(
            {
              from: read.startedAt,
              to: read.endedAt + (read.error === undefined ? 0 : this.#history.terms.responseTimeoutMs),
            },
            span,
          ),
      )
    )
      return true;
    const isChanged = this.#history.changes.some(
      (change) =>
        (change.keys.some(([each]) => each === key) || change.touches?.includes(key) === true) &&
        overlap({ from: change.startedAt, to: this.#overAt(change) }, span),
    );
    if (isChanged) return true;
    // A change that is replayed, or issued again after a change of servers, invalidates all keys it covers.
    if (this.#history.sightings.some(({ at, pending }) => pending > 0 && span.from <= at && at <= span.to + LOOK_MS))
      return true;
    if ([first, second].some(({ process }) => this.#isCutOff(process, span.from, span.to))) return true;
    return this.#history.faults.some((fault) => {
      // A fault of servers concerns all processes: pending changes are replayed, and after a change of servers issued
      // again.
      const touched =
        fault.processes?.filter((process) => process === first.process || process === second.process) ??
        this.#history.processes.filter(({ bornAt }) => bornAt <= fault.to).map(({ name }) => name);
      return (
        touched.length > 0 &&
        overlap({ from: fault.from, to: Math.max(...touched.map((process) => this.#inStepAt(process, fault))) }, span)
      );
    });
  }

  /** The instant from which no command of a change can still arrive. */
  #overAt(change: Change): Instant {
    if (change.endedAt === undefined) return (this.#diedAt.get(change.process) ?? Infinity) + DELIVERED_MS;
    if (change.status === "pending") return this.#replayedAt(change) ?? Infinity;
    return change.endedAt;
  }

  /**
   * Judged only while nothing was broken: the lease of a killed process ends by itself, and a process that cannot reach
   * Redis waits for that.
   */
  #judgeWait(read: Read): void {
    const span = { from: read.startedAt, to: read.endedAt };
    if (
      read.kind !== "getOrSet" ||
      span.to - span.from <= SLEEP_MS ||
      this.#isDisturbed(read.process, span.from - LEASE_MS, span.to)
    )
      return;
    if (this.#history.faults.some((fault) => overlap({ from: fault.from, to: fault.to + LEASE_MS }, span))) return;
    let loadedUntil = span.from;
    let loadedMs = 0;
    for (const load of this.#loadsOf.get(read.key) ?? []) {
      const from = Math.max(loadedUntil, load.startedAt);
      const to = Math.min(span.to, load.endedAt ?? Infinity);
      if (to <= from) continue;
      loadedMs += to - from;
      loadedUntil = to;
    }
    const idleMs = span.to - span.from - loadedMs - this.#stalledMs(read.process, span.from, span.to);
    if (idleMs > SLEEP_MS)
      this.#violate({
        rule: "slept",
        at: span.to,
        key: read.key,
        ids: [read.id],
        text: `${read.process}: ${read.kind} ${read.key} waited ${idleMs.toFixed(0)} ms in which no process loaded it`,
      });
  }

  #judgeBound(call: Read | Change): void {
    if (call.endedAt === undefined) return;
    const tookMs = call.endedAt - call.startedAt - this.#stalledMs(call.process, call.startedAt, call.endedAt);
    if (tookMs > call.boundMs + this.#history.terms.slackMs)
      this.#violate({
        rule: "unbounded",
        at: call.endedAt,
        ids: [call.id],
        ...("key" in call && { key: call.key }),
        text: `${call.process}: ${call.kind} took ${tookMs.toFixed(0)} ms; ${call.boundMs} ms is the most its options allow`,
      });
  }

  /** The part of a span in which a process did not run. */
  #stalledMs(process: string, from: Instant, to: Instant): number {
    const { faults, stalls } = this.#history;
    const spans: Span[] = [
      ...stalls.filter((stall) => stall.process === process),
      ...faults.filter((fault) => fault.freezes === true && fault.processes?.includes(process) === true),
    ];
    let until = from;
    let stalledMs = 0;
    for (const span of spans.sort((a, b) => a.from - b.from)) {
      const began = Math.max(until, span.from);
      const ended = Math.min(to, span.to);
      if (ended <= began) continue;
      stalledMs += ended - began;
      until = ended;
    }
    return stalledMs;
  }

  #older(rule: Rule, read: Read, floor: number, change: string | undefined, after: string): true {
    const how = read.tier === undefined ? "" : ` from ${read.tier}`;
    this.#violate({
      rule,
      at: read.startedAt,
      key: read.key,
      ids: change === undefined ? [read.id] : [read.id, change],
      text: `${read.process}: ${read.kind} ${read.key} answered ${read.version}${how}; ${floor} was due: ${after}`,
    });
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

  /** The first sighting with nothing pending after a `pending` result. */
  #replayedAt(change: Change): Instant | undefined {
    if (change.status !== "pending") return undefined;
    return this.#history.sightings.find(
      ({ process, at, pending }) => process === change.process && at > change.endedAt! && pending === 0,
    )?.at;
  }

  /**
   * The instant at which a process was seen connected, with nothing pending, twice in a row after a fault; the instant
   * of its death, if that came before.
   */
  #inStepAt(process: string, fault: Fault, death: "counts" | "is ignored" = "counts"): Instant {
    if (process === FOREIGN) return fault.to;
    const key = `${process} ${fault.from} ${fault.kind} ${death}`;
    const known = this.#inStep.get(key);
    if (known !== undefined) return known;
    let seen = 0;
    let at = death === "counts" ? (this.#diedAt.get(process) ?? Infinity) : Infinity;
    for (const sighting of this.#history.sightings) {
      if (sighting.process !== process || sighting.at < fault.to) continue;
      seen = isWell(sighting.state) && sighting.pending === 0 ? seen + 1 : 0;
      if (seen === 2) {
        at = sighting.at;
        break;
      }
    }
    this.#inStep.set(key, at);
    return at;
  }
  readonly #inStep = new Map<string, Instant>();

  #isCutOff(process: string, from: Instant, to: Instant): boolean {
    return (this.#cutOff.get(process) ?? []).some((span) => overlap(span, { from, to }));
  }

  #spansOfNoReach(process: string): readonly Span[] {
    const spans: Span[] = [];
    let since: Instant | undefined;
    for (const sighting of this.#history.sightings) {
      if (sighting.process !== process) continue;
      if (!isWell(sighting.state)) since ??= sighting.at;
      else if (since !== undefined) {
        spans.push({ from: since, to: sighting.at });
        since = undefined;
      }
    }
    if (since !== undefined) spans.push({ from: since, to: Infinity });
    for (const failure of this.#history.failures) {
      if (failure.process !== process || failure.code !== "BACKEND_UNAVAILABLE") continue;
      const span = { from: failure.at - this.#history.terms.responseTimeoutMs, to: failure.at };
      // A process that was frozen while it waited has learnt nothing about Redis.
      if (
        !this.#history.faults.some(
          (fault) => fault.freezes === true && fault.processes?.includes(process) === true && overlap(fault, span),
        )
      )
        spans.push(span);
    }
    return spans;
  }

  #lags(): readonly number[] {
    const lags: number[] = [];
    const readsOf = grouped(this.#history.reads, ({ process, key }) => `${process} ${key}`);
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
          if (correct === undefined || this.#isDisturbed(name, change.startedAt, correct.startedAt)) continue;
          lags.push(Math.max(0, (correct.firstStartedAt ?? correct.startedAt) - change.endedAt!));
        }
      }
    }
    return lags;
  }

  #isDisturbed(process: string, from: Instant, to: Instant): boolean {
    const isFault = this.#history.faults.some(
      (fault) =>
        (fault.processes === undefined || fault.processes.includes(process)) &&
        overlap({ from: fault.from, to: this.#inStepAt(process, fault) }, { from, to }),
    );
    return isFault || this.#isCutOff(process, from, to);
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
        .map(({ name }) => this.#inStepAt(name, fault) - fault.to)
        .filter(Number.isFinite),
    );
  }

  #violate(violation: Violation): void {
    this.#violations.push(violation);
  }

  #exempt(exemption: Exemption): void {
    this.#exemptions[exemption] = (this.#exemptions[exemption] ?? 0) + 1;
  }
}

/** The interval in which the state of processes is recorded, with room for a busy machine. */
const LOOK_MS = 100;
/** The time after the death of its process, or the thaw of its server, in which a command may still arrive. */
const DELIVERED_MS = 500;
/** A process that asks this soon after an acknowledgement, and goes on asking, sees when the change arrives. */
const WATCHED_MS = 2;

/** A waiter looks again after 1 s, also without a message; the rest is for a busy machine. */
const SLEEP_MS = 1_400;
/** The longest time that a dead process keeps others waiting. */
const LEASE_MS = 10_000;

/** The modes of changes after which a read may not answer the replaced value. */
const modesOf = ({ freshness }: Read): readonly Change["mode"][] =>
  freshness === "fresh" ? ["hard", "soft"] : ["hard"];

const isWell = (state: string): boolean => state === "up" || state === "idle";

/** Errors of a loader, and the end of a wait that the call itself had set. */
const isExpected = ({ kind, error }: Read): boolean =>
  kind.startsWith("getOrSet") &&
  /^(SourceError|LoadTimeoutError|AbortError)\b|; because of SourceError$/.test(error ?? "");

const overlap = (a: Span, b: Span): boolean => a.from <= b.to && b.from <= a.to;

function floorsOf(map: Map<string, Floors>, key: string): Floors {
  return map.get(key) ?? put(map, key, new Floors());
}

function put<K, V>(map: Map<K, V>, key: K, value: V): V {
  map.set(key, value);
  return value;
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) (groups.get(keyOf(item)) ?? put(groups, keyOf(item), [])).push(item);
  return groups;
}

/** Index of the first read that began at `at` or later; for a read that is a record of many, if its last one did. */
function firstAfter(reads: readonly Read[], at: Instant): number | undefined {
  const index = reads.findIndex((read) => read.startedAt >= at);
  return index < 0 ? undefined : index;
}
