import diagnostics from "node:diagnostics_channel";

/** Texts that travel with an entry or a job, such as `traceparent`. Few and short: each is stored. */
export type Carrier = Record<string, string>;

/** On the diagnostics channel `hotset:produce`, while an entry or jobs are appended: subscribers fill `carrier`. */
export interface Producing {
  /** Where it is appended. */
  readonly source: "stream" | "queue";
  /** Empty; a subscriber adds texts: at most 16, of 8,192 characters together. All else is left out. */
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
  const texts = carriedTexts(carrier);
  return Object.keys(texts).length === 0 ? undefined : texts;
}

/** Characters, all together. */
const MAX_LENGTH = 8_192;
const MAX_TEXTS = 16;

/** The texts of a carrier that others have filled: few and short ones, which UTF-8 has bytes for. */
export function carriedTexts(given: unknown): Carrier {
  if (typeof given !== "object" || given === null) return {};
  const texts: [name: string, text: string][] = [];
  let room = MAX_LENGTH;
  for (const [name, text] of Object.entries(given as Record<string, unknown>)) {
    if (texts.length === MAX_TEXTS) break;
    if (typeof text !== "string" || name.length + text.length > room) continue;
    if (!name.isWellFormed() || !text.isWellFormed()) continue;
    texts.push([name, text]);
    room -= name.length + text.length;
  }
  return Object.fromEntries(texts);
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
