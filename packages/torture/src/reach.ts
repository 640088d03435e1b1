import {
  FOREIGN,
  REFUSED,
  type Change,
  type Fault,
  type History,
  type Instant,
  type Load,
  type Read,
  type Removal,
  type Sighting,
} from "./history.ts";
import { OF_VERSIONS } from "./watched-backend.ts";

export interface Span {
  readonly from: Instant;
  readonly to: Instant;
}

export const overlap = (a: Span, b: Span): boolean => a.from <= b.to && b.from <= a.to;

/** Whether the key of these loads was marked when another began: one that ended not long before had stored nothing. */
export function isMarked(
  { terms: { markedForMs = 0 } }: History,
  loads: readonly Load[],
  { calledAt, startedAt }: Pick<Load, "calledAt" | "startedAt">,
): boolean {
  return loads.some(
    ({ isWithheld, endedAt }) =>
      isWithheld === true && endedAt! <= startedAt && calledAt <= endedAt! + markedForMs + LOOK_MS,
  );
}

/** When each process could not reach Redis, did not run, and was in step again after a fault. */
export class Reach {
  readonly #history: History;
  readonly #diedAt: ReadonlyMap<string, Instant>;
  /** By process, the times in which it did not run. */
  readonly #pauses: ReadonlyMap<string, readonly Span[]>;
  readonly #outages: ReadonlyMap<string, readonly Span[]>;
  /** By process, the instants at which Redis refused a command. */
  readonly #refusals: ReadonlyMap<string, readonly Span[]>;
  readonly #inStep = new Map<string, Instant>();
  readonly #sightingsOf: ReadonlyMap<string, readonly Sighting[]>;

  constructor(history: History) {
    this.#history = history;
    this.#sightingsOf = Map.groupBy(history.sightings, ({ process }) => process);
    this.#diedAt = new Map(
      history.processes.flatMap(({ name, diedAt }) => (diedAt === undefined ? [] : [[name, diedAt] as const])),
    );
    const names = history.processes.map(({ name }) => name);
    this.#pauses = new Map(names.map((name) => [name, this.#pausesOf(name)]));
    this.#outages = new Map(
      names.map((name) => [name, [...this.#spansDown(name), ...this.#failuresOf(name, UNAVAILABLE)]]),
    );
    this.#refusals = new Map(names.map((name) => [name, this.#failuresOf(name, REFUSED)]));
  }

  diedAt(process: string): Instant | undefined {
    return this.#diedAt.get(process);
  }

  /** The first sighting with nothing pending after a `pending` result. */
  replayedAt(change: Change): Instant | undefined {
    if (change.status !== "pending") return undefined;
    return this.#seen(change.process).find(({ at, pending }) => at > change.endedAt! && pending === 0)?.at;
  }

  /**
   * The instant at which a process was seen connected, with nothing pending, twice in a row after a fault; the instant
   * of its death, if that came before. A process that is never seen so counts as in step when the time for healing has
   * passed after the last fault that concerns it.
   */
  inStepAt(process: string, fault: Fault, death: "counts" | "is ignored" = "counts"): Instant {
    if (process === FOREIGN) return fault.to;
    const key = `${process} ${fault.from} ${fault.kind} ${death}`;
    const known = this.#inStep.get(key);
    if (known !== undefined) return known;
    const diedAt = death === "counts" ? (this.#diedAt.get(process) ?? Infinity) : Infinity;
    let seen = 0;
    let at = Math.min(diedAt, this.#healedBy(process, fault));
    for (const sighting of this.#seen(process)) {
      if (sighting.at < fault.to) continue;
      seen = isWell(sighting.state) && sighting.pending === 0 ? seen + 1 : 0;
      if (seen === 2) {
        at = Math.min(at, sighting.at);
        break;
      }
    }
    this.#inStep.set(key, at);
    return at;
  }

  /** Whether a process could not reach Redis, or a call of its backend failed or was refused, within this span. */
  isCutOff(process: string, from: Instant, to: Instant): boolean {
    const isRefused = (this.#refusals.get(process) ?? []).some((span) => overlap(span, { from, to }));
    return isRefused || this.#outagesOf(process, { from, to }).length > 0;
  }

  /**
   * Whether a process may have served its own copy: Redis could not be reached during the read, or a call that was
   * under way failed, and not because the process itself did not run. A refusal is an answer: Redis was reached.
   */
  mayFallBack({ process, startedAt, endedAt }: Read): boolean {
    return this.#outagesOf(process, { from: startedAt, to: endedAt }).some((span) => !this.#isOwnFault(process, span));
  }

  /**
   * Whether a process could ask the primary of tag versions during a read, although that of the entry did not answer.
   * Not right after another fault: it connects again first.
   */
  reachesVersions({ process, key, startedAt, endedAt }: Read): boolean {
    const { faults, failures, terms } = this.#history;
    const span = { from: startedAt - RECONNECTED_WITHIN_MS, to: endedAt };
    const concerning = faults.filter((fault) => concerns(fault, process) && overlap(fault, span));
    const isApart = ({ keys, from, to }: Fault): boolean =>
      keys?.includes(key) === true && from <= startedAt && endedAt <= to;
    if (!concerning.some(isApart) || concerning.some(({ keys }) => keys === undefined)) return false;
    const isUnanswered = failures.some(
      ({ process: of, operation, at }) =>
        of === process && operation === OF_VERSIONS && span.from <= at && at <= span.to + terms.responseTimeoutMs,
    );
    const isLost = this.#seen(process).some(
      ({ at, state }) => span.from <= at && at <= span.to && (state === "down" || state === "detached"),
    );
    return !isUnanswered && !isLost && this.stalledMs(process, span.from, span.to) < terms.responseTimeoutMs / 2;
  }

  /** Times in which the backend of a process was not up, and instants at which one of its calls failed. */
  #outagesOf(process: string, within: Span): readonly Span[] {
    return (this.#outages.get(process) ?? []).filter((span) => overlap(span, within));
  }

  /**
   * Whether a fault concerned a process, or it could not reach Redis, within this span. A jump of the server's clock
   * concerns entries and leases, and no process.
   */
  isDisturbed(process: string, from: Instant, to: Instant): boolean {
    const isFault = this.#history.faults.some(
      (fault) =>
        fault.jumpMs === undefined &&
        concerns(fault, process) &&
        overlap({ from: fault.from, to: this.inStepAt(process, fault) }, { from, to }),
    );
    return isFault || this.isCutOff(process, from, to);
  }

  /** Whether tag versions were renewed by a replay, and not by a call: then something was pending. */
  isReplaying({ process, from, to }: Removal): boolean {
    return this.#seen(process).some(({ at, pending }) => pending > 0 && from - LOOK_MS <= at && at <= to + LOOK_MS);
  }

  /**
   * The instant at which a process that had invalidations pending around a span was seen with none again; the end of
   * the span where it had none.
   */
  pendingUntil(process: string, { from, to }: Span): Instant {
    if (!this.isReplaying({ process, from, to })) return to;
    const over = this.#seen(process).find(({ at, pending }) => at > to && pending === 0)?.at;
    return over ?? this.#diedAt.get(process) ?? Infinity;
  }

  #seen(process: string): readonly Sighting[] {
    return this.#sightingsOf.get(process) ?? [];
  }

  /** The part of a span in which a process did not run. */
  stalledMs(process: string, from: Instant, to: Instant): number {
    let until = from;
    let stalledMs = 0;
    for (const span of this.#pauses.get(process) ?? []) {
      const began = Math.max(until, span.from);
      const ended = Math.min(to, span.to);
      if (ended <= began) continue;
      stalledMs += ended - began;
      until = ended;
    }
    return stalledMs;
  }

  #pausesOf(process: string): readonly Span[] {
    const { faults, stalls } = this.#history;
    const spans: Span[] = [
      ...stalls.filter((stall) => stall.process === process),
      ...faults.filter((fault) => fault.freezes === true && fault.processes?.includes(process) === true),
    ];
    return spans.sort((a, b) => a.from - b.from);
  }

  #spansDown(process: string): readonly Span[] {
    const spans: Span[] = [];
    let since: Instant | undefined;
    for (const sighting of this.#seen(process)) {
      if (!isWell(sighting.state)) since ??= sighting.at;
      else if (since !== undefined) {
        spans.push({ from: since, to: sighting.at });
        since = undefined;
      }
    }
    if (since !== undefined) spans.push({ from: since, to: Infinity });
    return spans;
  }

  #failuresOf(process: string, code: string): readonly Span[] {
    return this.#history.failures
      .filter((failure) => failure.process === process && failure.code === code)
      .map(({ at }) => ({ from: at, to: at }));
  }

  /**
   * Whether a process gave Redis up because it did not run itself: it has learnt nothing about Redis. A pause shorter
   * than half of `responseTimeout` explains no call without an answer.
   */
  #isOwnFault(process: string, span: Span): boolean {
    const { responseTimeoutMs } = this.#history.terms;
    return (this.#pauses.get(process) ?? []).some(
      (pause) =>
        pause.to - pause.from >= responseTimeoutMs / 2 &&
        pause.from <= span.from &&
        span.from <= pause.to + responseTimeoutMs &&
        !this.#history.faults.some(
          (fault) =>
            fault.freezes !== true &&
            fault.jumpMs === undefined &&
            concerns(fault, process) &&
            overlap({ from: fault.from, to: this.inStepAt(process, fault) }, { from: pause.from, to: span.to }),
        ),
    );
  }

  #healedBy(process: string, fault: Fault): Instant {
    const { faults, terms } = this.#history;
    let { to } = fault;
    for (const other of faults)
      if (concerns(other, process) && other.from >= fault.from && other.from <= to + terms.healMs)
        to = Math.max(to, other.to);
    return to + terms.healMs;
  }
}

/** A process whose connections were closed, or that did not run, has them again, on a busy machine too. */
const RECONNECTED_WITHIN_MS = 1_500;

/** The interval in which the state of processes is recorded, with room for a busy machine. */
export const LOOK_MS = 100;

const UNAVAILABLE = "BACKEND_UNAVAILABLE";

const concerns = ({ processes }: Fault, process: string): boolean =>
  processes === undefined || processes.includes(process);

const isWell = (state: string): boolean => state === "up" || state === "idle";
