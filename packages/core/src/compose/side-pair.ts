import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError, EncodeError } from "../contracts/errors.ts";
import { TierMeter } from "../primitives/meters.ts";
import type { ComposedSide } from "./composed-side.ts";
import type { CompositionParts, CompositionPlan } from "./composition.ts";
import type { OwnChanges } from "./own-changes.ts";

/** The parts that reads and writes of a composition share. */
export interface ComposedParts extends CompositionParts {
  readonly plan: CompositionPlan;
  readonly sides: SidePair;
  readonly changes: OwnChanges;
}

/** The two sides of a composition: which one leads, what both answered, and the work that outlives an answer. */
export class SidePair {
  readonly near: ComposedSide;
  readonly far: ComposedSide;
  /**
   * The side that grants leases: `far` where it has them, else `near` where it has them. The cache gets the versions of
   * its entries.
   */
  readonly lead: ComposedSide | undefined;
  /** Whether each side reads the bytes of the other one. */
  readonly hasOneCodec: boolean;
  /** How long a read may take. */
  readonly deadlineMs: number;
  readonly meter: TierMeter = new TierMeter();
  readonly #label: string;
  readonly #clock: Clock;
  readonly #background = new Set<Promise<unknown>>();

  constructor(
    { label, read }: CompositionPlan,
    clock: Clock,
    { near, far }: { readonly near: ComposedSide; readonly far: ComposedSide },
  ) {
    const [nearMs, farMs] = [near.tier.deadlineMs, far.tier.deadlineMs];
    this.near = near;
    this.far = far;
    this.lead = [far, near].find(({ tier }) => tier.leases !== undefined);
    this.hasOneCodec = near.tier.codecId === far.tier.codecId;
    this.deadlineMs = read === "sequential" ? nearMs + farMs : Math.max(nearMs, farMs);
    this.#label = label;
    this.#clock = clock;
  }

  otherOf(side: ComposedSide): ComposedSide {
    return side === this.near ? this.far : this.near;
  }

  /**
   * The answers that were given. Throws when both sides failed, with both causes; an `EncodeError` is thrown as it is.
   */
  answered<T>(operation: string, outcomes: readonly PromiseSettledResult<T>[]): readonly T[] {
    const values = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    if (values.length !== 0) return values;
    const causes = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason as unknown);
    const unwritable = causes.find((cause) => cause instanceof EncodeError);
    if (unwritable !== undefined) throw unwritable;
    this.meter.errors += 1;
    throw new BackendUnavailableError(`${this.#label}: ${operation} failed in both backends; see cause.errors`, {
      tier: this.#label,
      operation,
      retryable: causes.some((cause) => !(cause instanceof BackendUnavailableError) || cause.retryable),
      maybeExecuted: causes.some((cause) => !(cause instanceof BackendUnavailableError) || cause.maybeExecuted),
      cause: new AggregateError(causes, `${operation} failed in both backends`),
    });
  }

  timed<T>(operation: "read" | "write" | "remove", work: Promise<T>): Promise<T> {
    const startedAt = this.#clock.now();
    work.then(() => this.meter[operation].record(this.#clock.now() - startedAt), ignore);
    return work;
  }

  /** Lets work go on after the answer. Its failures are ignored: the tier, or its side, has reported them. */
  inBackground(work: Promise<unknown>): void {
    const running: Promise<unknown> = work.then(ignore, ignore).then(() => this.#background.delete(running));
    this.#background.add(running);
  }

  /** Resolves when no background work is left. Never rejects. */
  async settled(): Promise<void> {
    while (this.#background.size !== 0) await Promise.all(this.#background);
  }
}

const ignore = (): undefined => undefined;
