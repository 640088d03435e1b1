import type { CacheError } from "../contracts/errors.ts";
import type { CacheEvents } from "../contracts/events.ts";
import { notify, type Events } from "../primitives/event-port.ts";
import { BackendRefusedError } from "../tiers/backend-calls.ts";

/**
 * Where a cache writes what goes wrong. `console`, and the loggers of pino and winston, have this shape. An error that
 * a call throws is ignored.
 */
export interface CacheLogger {
  /** Trouble that fails calls, or may lose data. */
  error(message: string): unknown;
  /** Trouble that the cache bears. */
  warn(message: string): unknown;
  /** Good news: a backend answers again. */
  info(message: string): unknown;
}

export const LEVELS = ["error", "warn", "info"] as const;
type Level = (typeof LEVELS)[number];

/**
 * Everything that a cache says on its own: to `logger`; without one, the first trouble of each kind that no listener
 * observes is a warning of Node's. No text contains a value, nor the message of an error that a loader threw.
 */
export function speakUp(events: Events, cache: string, logger: CacheLogger | undefined): void {
  const subject = subjectOf(cache);
  const write: Say = (level, text) => notify(() => logger?.[level](subject + text), undefined);
  const say: Say = logger === undefined ? warnOnce(subject) : write;
  const on = logger === undefined ? "whenUnobserved" : "add";
  events["backend:error"][on]((it) =>
    say(levelOf(it.error), describeBackendError(it), "backend:error", kindOfError(it.error), causeOf(it.error)),
  );
  events["decode:error"][on]((it) => say("warn", describeDecodeError(it), "decode:error", it.error.code));
  events["load:unleased"][on]((it) => say("warn", describeUnleased(it), "load:unleased"));
  events["pending:overflow"][on]((it) => say("error", describeOverflow(it), "pending:overflow"));
  events["pending:lost"][on]((it) => say("error", describeLost(it), "pending:lost"));
  if (logger === undefined) return;
  events["load:error"].add((event) => {
    // Otherwise its callers got the error.
    if (event.background) write("warn", describeLoadError(event));
  });
  events["backend:state"].add((it) => write(it.state === "up" ? "info" : "warn", `${it.tier} is ${it.state}`));
  events["recover"].add(({ tier, replayed, overflowed }) => {
    const more = overflowed ? "; there were more than are remembered" : "";
    const level = overflowed ? "warn" : "info";
    write(level, `${tier}: ${replayed} pending invalidations replayed${more}`);
  });
}

type Say = (level: Level, text: string, event?: string, kind?: string, cause?: string) => void;

/** A warning about a cache that no event reports: to its `logger`; without one, a warning of Node's. */
export function warnOf(cache: string, logger: CacheLogger | undefined, kind: string, text: string): void {
  if (logger === undefined) emitWarning(kind, subjectOf(cache) + text);
  else notify(() => logger.warn(subjectOf(cache) + text), undefined);
}

const subjectOf = (cache: string): string => `hotset: cache ${JSON.stringify(cache)}: `;

function emitWarning(kind: string, text: string): void {
  if (typeof process === "undefined") console.warn(`${text} (HOTSET_${kind})`);
  else process.emitWarning(text, { type: "HotsetWarning", code: `HOTSET_${kind}` });
}

/** One warning for each cause of trouble, for as long as the cache lives. */
function warnOnce(subject: string): Say {
  const warned = new Set<string>();
  return (_level, text, event = "", kind = event.toUpperCase().replace(":", "_"), cause = kind) => {
    if (warned.has(cause) || (cause !== kind && warned.size >= MAX_WARNINGS)) return;
    // Another warning has said why.
    if (event === "load:unleased" && [...warned].some((before) => before.startsWith("BACKEND_"))) return;
    warned.add(cause);
    const shown = `Shown once for this ${cause === kind ? "cache" : "cause"}`;
    const all = `pass createCache({ logger }), or listen to ${JSON.stringify(event)}, for all`;
    emitWarning(kind, `${subject}${text}. ${shown}; ${all}`);
  };
}

/** Credentials that are refused, and a memory that is full, need other hands than a network that is down. */
export function kindOfError(error: CacheError): string {
  if (isLasting(error)) return "BACKEND_ACCESS";
  return error instanceof BackendRefusedError ? "BACKEND_REFUSED" : error.code;
}

/** Values that cannot be written have as many causes as places; sizes and positions make no other cause. */
const causeOf = (error: CacheError): string | undefined =>
  error.code === "ENCODE_FAILED" ? error.message.replaceAll(/\d+/g, "0") : undefined;

const MAX_WARNINGS = 100;

const levelOf = (error: CacheError): Level =>
  error.code === "BACKEND_UNAVAILABLE" && !isLasting(error) ? "warn" : "error";

const isLasting = (error: CacheError): boolean => "retryable" in error && error.retryable === false;

const describeBackendError = ({ error, key, omitted }: CacheEvents["backend:error"]): string =>
  `${messageOf(error)}${ofKey(key)}${others(omitted)}`;

const describeDecodeError = ({ tier, error, key, omitted }: CacheEvents["decode:error"]): string =>
  `${tier}: ${messageOf(error)}${ofKey(key)}${others(omitted)}`;

/** Names the error by class and code alone: its message comes from the user's loader and may contain anything. */
const describeLoadError = ({ error, key, omitted }: CacheEvents["load:error"]): string =>
  `a load in the background failed: ${error instanceof Error ? error.name : typeof error}${codeOf(error)}${ofKey(key)}${others(omitted)}`;

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" && /^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? ` ${code}` : "";
}

const describeUnleased = ({ tier, cause, key, omitted }: CacheEvents["load:unleased"]): string =>
  `loaded without a lease, since ${tier} ${cause === "refused" ? "refused it" : "did not answer in time"}; other processes may load the same key, and it keeps nothing of this load${ofKey(key)}${others(omitted)}`;

const describeOverflow = ({ tier, effect }: CacheEvents["pending:overflow"]): string =>
  `${tier}: more invalidations are pending than are remembered; ${effect === "clear" ? "all entries of the cache are removed instead, for every process" : "the oldest are forgotten, and it may keep older entries until they expire"}`;

const describeLost = ({ tier, count }: CacheEvents["pending:lost"]): string =>
  `close() gave up ${count} pending values and invalidations that ${tier} had not acknowledged; it may keep what they replace until that expires: give close({ timeout }) more time, or call drain() while it can be reached`;

/** The message, with its reason only if a backend gave it or the text refers to it: other reasons may quote a value. */
export function messageOf(error: CacheError): string {
  const text = error.message.replace(/[;:] see cause$/, "");
  const joint = text !== error.message ? ": " : kindOfError(error).startsWith("BACKEND_") ? "; cause: " : undefined;
  const reason = reasonOf(error.cause);
  return joint === undefined || text.includes(reason) ? text : text + joint + reason;
}

/** The first line of the innermost error: the rest of a long answer would be the call. */
function reasonOf(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 9) return "";
  const inner = reasonOf(error.cause ?? (error as Partial<AggregateError>).errors?.[0], depth + 1);
  // Errors of drivers may have none.
  const message: unknown = error.message;
  return inner || (typeof message === "string" ? message.split("\n", 1)[0]!.slice(0, 200).replace(/\.$/, "") : "");
}

const ofKey = (key: string | undefined): string => (key === undefined ? "" : ` (key ${JSON.stringify(cut(key))})`);
const cut = (key: string): string => (key.length > 80 ? `${key.slice(0, 80)}…` : key);
const others = (omitted: number | undefined): string =>
  omitted === undefined ? "" : `; ${omitted} more like it were left out`;
