import diagnostics from "node:diagnostics_channel";

/** Texts that travel with an entry or a job, such as `traceparent`. Few and short: each is stored. */
export type Carrier = Record<string, string>;

/** On the diagnostics channel `hotset:produce`, while an entry or jobs are appended: subscribers fill `carrier`. */
export interface Producing {
  /** Where it is appended. */
  readonly source: "stream" | "queue";
  /** Empty; a subscriber adds texts. */
  readonly carrier: Carrier;
}

/** The context of the tracing channel `hotset:consume`, within whose start a handler runs. */
export interface Consuming {
  /** Where it was read. */
  readonly source: "stream" | "queue";
  /** The texts that came with it; those of a stream are among its fields, with others. */
  readonly carrier: Readonly<Record<string, unknown>>;
}

const PRODUCE = diagnostics.channel("hotset:produce");
const CONSUME = diagnostics.tracingChannel<string, Consuming>("hotset:consume");

/**
 * Never throws: an error of a subscriber becomes an uncaught exception.
 *
 * @returns texts for what is being appended; `undefined` for none, and without a subscriber
 */
export function carrierFor(source: Producing["source"]): Carrier | undefined {
  if (!PRODUCE.hasSubscribers) return undefined;
  const carrier: Carrier = {};
  PRODUCE.publish({ source, carrier } satisfies Producing);
  return Object.keys(carrier).length === 0 ? undefined : carrier;
}

/**
 * Runs a handler, and publishes its start and end without its result. Without a subscriber it costs a look. Rejects
 * with what the handler throws.
 */
export function consuming<T>(
  source: Consuming["source"],
  carrier: Consuming["carrier"],
  handle: () => Promise<T> | T,
): Promise<T> | T {
  if (!CONSUME.hasSubscribers) return handle();
  let result: T;
  const keepResult = async (): Promise<void> => {
    result = await handle();
  };
  return CONSUME.tracePromise(keepResult, { source, carrier }).then(() => result);
}
