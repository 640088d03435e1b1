import type { CacheEvents } from "../contracts/events.ts";
import { redacted, traced } from "../primitives/event-port.ts";
import type { Answers } from "./answers.ts";
import type { Copies, Reporting } from "./context.ts";
import { describeFailure } from "./explanations.ts";
import type { Flight } from "./flight.ts";
import type { StoreResult } from "./loaded-store.ts";
import { whileLoading } from "./loading.ts";
import { UsedValues } from "./used-values.ts";
import type { Waiters } from "./waiters.ts";
import { Load, type Loaded } from "./load.ts";

/** The load of a flight: runs it once, counts it and reports it. */
export class FlightLoads {
  readonly #context: Reporting & Pick<Copies, "local">;
  readonly #waiters: Waiters;
  readonly #answers: Answers;

  constructor(context: Reporting & Pick<Copies, "local">, waiters: Waiters, answers: Answers) {
    this.#context = context;
    this.#waiters = waiters;
    this.#answers = answers;
  }

  /** Calls the user's loader, within the trace of this load. */
  run(flight: Flight): Promise<Loaded> {
    const { clock, local, redactKey } = this.#context;
    const { call } = flight;
    const used = call.policy.inherit ? (call.batch?.used ?? new UsedValues(this.#context)) : undefined;
    const begin = (): Load =>
      new Load(
        {
          key: call.key.name,
          load: call.load,
          reason: flight.reason,
          background: !flight.isAwaited,
          stale: this.#waiters.fallbackOf(flight).entry,
          handOut: (value) => local?.handOut(value) ?? value,
          timeoutMs: call.policy.loadTimeoutMs,
          schema: call.namespace.checksLoads ? call.namespace.schema : undefined,
          used,
        },
        clock,
      );
    const outcome = traced(
      "load",
      () => {
        const load = whileLoading(this.#context, flight.key.local, begin, (each) => each.outcome, used);
        flight.runs(load);
        return load.outcome;
      },
      () => (redactKey === undefined ? this.event(flight) : redacted(this.event(flight), redactKey)),
    );
    call.namespace.meter.loads += 1;
    return outcome;
  }

  countFailure(flight: Flight, error: unknown): void {
    flight.call.namespace.meter.loadErrors += 1;
    this.#context.decisions?.note(flight.key.local, "load", describeFailure(error));
  }

  /** After the callers were answered. @param event as {@link event} made it before. */
  reportFailure(event: LoadEvent, durationMs: number, error: unknown): void {
    this.#context.events["load:error"].emit({ ...event, durationMs, error });
  }

  report(event: LoadEvent, durationMs: number, result: StoreResult): void {
    const { load } = this.#context.events;
    if (load.isObserved) load.emit({ ...event, durationMs, result });
  }

  /** The part that all events of one load share. Made when its outcome is known: later no caller waits any more. */
  event(flight: Flight): LoadEvent {
    return { ...this.#answers.keyEvent(flight.key), reason: flight.reason, background: !flight.isAwaited };
  }
}

type LoadEvent = Omit<CacheEvents["load:error"], "durationMs" | "error">;
