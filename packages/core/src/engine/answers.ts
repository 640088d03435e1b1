import { type CacheError, ConfigurationError } from "../contracts/errors.ts";
import type { FencedBy } from "../contracts/events.ts";
import type { Entry } from "../entry/entry.ts";
import { canServeOnError, judge, lifeOf, type Windows } from "../entry/freshness.ts";
import { keyEvent } from "../entry/key.ts";
import type { LoadOptions, Served } from "../entry/policy.ts";
import { toMs } from "../primitives/duration.ts";
import { notify } from "../primitives/event-port.ts";
import type { AnsweredBy } from "./call-observer.ts";
import type { GetOrSetCall } from "./call.ts";
import type { Copies, Reporting } from "./context.ts";
import type { Flight, Role } from "./flight.ts";
import type { LoadedValue } from "./used-values.ts";

/** How one call ends. */
export interface Answer {
  readonly status: "hit" | "stale" | "miss";
  readonly value: unknown;
  readonly entry?: Entry | undefined;
  readonly tier?: string;
  /** What made a stale value stale. */
  readonly cause?: StaleCause;
  readonly error?: unknown;
  /** The loaded value and the entry made of it, if a load answers. */
  readonly loaded?: LoadedValue | undefined;
  /** Whether that entry is stored by now. */
  readonly isStored?: boolean;
}

/** Why a stale value is served; by a call without a loader, why it is stale. */
export type StaleCause = NonNullable<Served["cause"]>;

export const hit = (entry: Entry, tier: string): Answer => ({ status: "hit", value: entry.value, entry, tier });

export const stale = (entry: Entry, tier: string, cause: StaleCause): Answer => ({
  status: "stale",
  value: entry.value,
  entry,
  tier,
  cause,
});

export const loadedAnswer = (loaded: LoadedValue): Answer => ({ status: "miss", value: loaded.value, loaded });

/** A call as it is counted. */
type Counted = Pick<GetOrSetCall, "namespace" | "key" | "startedAt" | "usedBy">;

/** Counts and reports each answer of a cache, exactly once. */
export class Answers {
  readonly #context: Reporting & Pick<Copies, "local">;

  constructor(context: Reporting & Pick<Copies, "local">) {
    this.#context = context;
  }

  /** Counts and reports one answer, and returns the value as this caller gets it. */
  serve(call: Counted & Partial<GetOrSetCall> & Pick<GetOrSetCall, "onServed">, role: Role, answer: Answer): unknown {
    this.count(call, answer);
    if (answer.status === "hit") this.#context.verifier?.answered(call, answer.entry!, answer.tier!);
    if (this.#context.observer !== undefined) this.#observe(call, answeredBy(call, role, answer));
    if (call.onServed !== undefined) notify(call.onServed, this.#served(answer, role));
    return this.#context.local === undefined ? answer.value : this.#context.local.values.handOut(answer.value);
  }

  /** Counts a call that ends with `error`. */
  failed(call: GetOrSetCall, error: unknown): unknown {
    this.count(call, MISS);
    if (this.#context.observer !== undefined) this.#observe(call, "failed");
    return error;
  }

  #observe({ key, startedAt }: Counted, by: AnsweredBy | undefined): void {
    const { observer, clock } = this.#context;
    if (by !== undefined) observer!.answered({ space: key.space, key: key.name }, by, clock.now() - startedAt);
  }

  /**
   * Exactly one hit, stale hit or miss. A load that made the call has used the value.
   *
   * @param asked which tiers the call may have asked.
   */
  count(
    call: Counted,
    { status, tier, cause, entry, loaded }: Answer,
    asked: "all tiers" | "local tier" = "all tiers",
  ): void {
    const { local, events, clock, decisions, name } = this.#context;
    const { remote, meters } = call.namespace;
    if (entry !== undefined || loaded !== undefined)
      call.usedBy?.add(this.#context, remote, entry ?? loaded?.made, loaded?.tags);
    const meter = meters.of(call.key.name);
    decisions?.note(call.key.local, "call", describeAnswer(status, tier, cause));
    if (local !== undefined) {
      if (tier === local.label) local.meter.hits += 1;
      else local.meter.misses += 1;
    }
    if (remote !== undefined && asked === "all tiers" && (local === undefined || tier !== local.label)) {
      if (tier === undefined) remote.meter.misses += 1;
      else remote.meter.hits += 1;
    }
    if (status === "hit") meter.hits += 1;
    else if (status === "stale") meter.staleHits += 1;
    else meter.misses += 1;
    if (!events[status].isObserved) return;
    const event = { ...keyEvent(name, call.key), durationMs: clock.now() - call.startedAt };
    if (status === "hit") events.hit.emit({ ...event, tier: tier! });
    else if (status === "stale") events.stale.emit({ ...event, tier: tier!, cause: cause! });
    else events.miss.emit(event);
  }

  // ---- what becomes of a loaded value

  fenced({ call, key }: Flight, by: FencedBy): "fenced" {
    const { events, name } = this.#context;
    call.namespace.meters.of(key.name).fenced += 1;
    events.fenced.emit({ ...keyEvent(name, key), by });
    return "fenced";
  }

  /** The callers get the value, and it is stored nowhere. */
  unwritable({ key }: Flight, error: CacheError): "refused" {
    const { tier = "", operation = "encode" } = error;
    this.#context.events["backend:error"].emit({ ...keyEvent(this.#context.name, key), tier, operation, error });
    return "refused";
  }

  /** A tier broke its contract: while a loaded value was stored, or before it was there. */
  broken(flight: Flight, cause: unknown): "refused" {
    const { label: tier } = this.#context.local ?? flight.call.namespace.remote!;
    const operation = flight.climb.loaded === undefined ? "read" : "store";
    const text = `${operation} failed, and no tier may fail like this; see the cause`;
    return this.unwritable(flight, new ConfigurationError(text, { tier, operation, cause }));
  }

  #served({ status, entry, tier, cause, error, loaded, isStored }: Answer, role: Role): Served {
    const now = this.#context.clock.now();
    const life = entry === undefined ? { ageMs: 0, freshForMs: 0 } : lifeOf(entry, now);
    const endsAt = (isStored === true ? loaded?.made : entry)?.expiresAt;
    return {
      status,
      ...(tier !== undefined && { tier }),
      ageMs: life.ageMs,
      freshForMs: life.freshForMs,
      ...(endsAt !== undefined && { expiresInMs: endsAt - now }),
      coalesced: role === "joined",
      ...(cause !== undefined && { cause }),
      ...(error !== undefined && { error }),
    };
  }
}

/** `undefined` for a call without a loader that found nothing. */
function answeredBy(
  { load, batch }: Partial<Pick<GetOrSetCall, "load" | "batch">>,
  role: Role,
  { status }: Answer,
): AnsweredBy | undefined {
  if (status !== "miss") return status;
  if (load === undefined && batch === undefined) return undefined;
  return role === "joined" ? "joined" : "loaded";
}

export const MISS: Answer = { status: "miss", value: undefined };

function describeAnswer(status: Answer["status"], tier: string | undefined, cause: StaleCause | undefined): string {
  if (tier === undefined) return status;
  return `${status}, from ${tier}${cause === undefined ? "" : ` (${cause})`}`;
}

/**
 * Where a call is when an entry is offered to it:
 *
 * - `found`: the entry is the best that there is; a load may follow
 * - `backing-off`: as `found`, and the last load failed a moment ago
 * - `error`: its load has failed, and not by a timeout
 * - `timeout`: the value takes too long. Its load failed by `loadTimeout`, or goes on while its own time has passed
 */
export type Situation = "found" | "backing-off" | "error" | "timeout";

/** A load that failed. */
export interface Failure {
  readonly error: unknown;
  /** Set by its loader until then. */
  readonly options?: LoadOptions | undefined;
}

/** An entry, and the label of the tier that has it. */
export interface Offer {
  readonly entry: Entry | undefined;
  readonly tier: string;
}

/**
 * The answer that a call gets for an entry, or `undefined`: then it waits for a load, or gets the error. This is the
 * one place that decides it, for the copy of a tier, for an entry that was read, and for the flight that a call joins.
 *
 * @param failure the load that failed, now or a moment ago.
 */
export function answerFor(
  { entry, tier }: Offer,
  windows: Windows,
  now: number,
  situation: Situation,
  failure?: Failure,
): Answer | undefined {
  if (entry === undefined) return undefined;
  if (situation === "error" || situation === "timeout")
    return covers(entry, windows, now, failure) ? stale(entry, tier, situation) : undefined;
  switch (judge(entry, now, windows)) {
    case "fresh":
    case "ahead":
      return hit(entry, tier);
    case "revalidate":
      return situation === "found" ? stale(entry, tier, "revalidating") : inPlaceOf(failure, entry, tier);
    case "fallback":
      return situation === "backing-off" && covers(entry, windows, now, failure)
        ? inPlaceOf(failure, entry, tier)
        : undefined;
    case "absent":
      return undefined;
  }
}

const inPlaceOf = (failure: Failure | undefined, entry: Entry, tier: string): Answer => ({
  ...stale(entry, tier, "error"),
  error: failure?.error,
});

/** Whether the entry may be served in place of the failure, for the caller and for the loader that failed. */
function covers(entry: Entry, windows: Windows, now: number, failure: Failure | undefined): boolean {
  if (!canServeOnError(entry, now, windows)) return false;
  if (failure === undefined) return true;
  const { options } = failure;
  if (isRefused(failure, windows)) return false;
  if (options?.staleIfError === undefined) return true;
  return canServeOnError(entry, now, { ...windows, staleIfErrorMs: toMs("staleIfError", options.staleIfError) });
}

/** Whether the error must reach the caller, as `coversError` of the caller or of the loader says. */
export function isRefused({ error, options }: Failure, { coversError }: Pick<Windows, "coversError">): boolean {
  const refuses = (covered: Windows["coversError"]): boolean => covered !== undefined && !asks(covered, error);
  return refuses(coversError) || refuses(options?.coversError);
}

/** A predicate that throws, or returns a promise, covers nothing: the error of the load reaches the caller. */
function asks(coversError: (error: unknown) => boolean, error: unknown): boolean {
  try {
    return coversError(error) === true;
  } catch {
    return false;
  }
}
