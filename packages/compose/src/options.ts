import {
  CacheError,
  ConfigurationError,
  parseDuration,
  systemClock,
  type Awaitable,
  type Backend,
  type Clock,
  type Duration,
} from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import { ignore } from "./ignore.ts";

/** Options of `compose`. */
export interface ComposeOptions {
  /**
   * The longest that a copy in `near` may live, and so the longest that it may hide a change in `far` by another
   * process; where replicas answer for `far`, their lag comes on top. More than 0, and finite.
   */
  readonly nearTtl: Duration;
  /** @default near.label + '+' + far.label */
  readonly label?: string | undefined;
  /** `race`: both are asked at the same time, and the first fresh entry is the answer. @default 'sequential' */
  readonly read?: "sequential" | "race" | undefined;
  /** Whether a fresh entry that was found in `far` is copied to `near`. Written ones always are. @default 'always' */
  readonly refill?: "always" | "never" | undefined;
  /** Called with each failure of `near`, which fails no call. @default one warning, `HOTSET_NEAR_FAILED` */
  readonly onNearError?: ((error: Error) => Awaitable<void>) | undefined;
  /** For tests. @default systemClock */
  readonly clock?: Clock | undefined;
}

/** The options, checked. */
export interface Plan {
  readonly nearTtlMs: number;
  readonly label: string;
  readonly isRace: boolean;
  readonly refills: boolean;
  readonly onNearError: (error: Error) => void;
  readonly clock: Clock;
}

/** @throws {ConfigurationError} for sides that cannot be composed, and for options out of range. */
export function planOf(near: Backend, far: Backend, options: ComposeOptions): Plan {
  checkSides(near, far);
  checkNames(options ?? null, NAMES, { place: "compose" });
  const {
    label = `${near.label}+${far.label}`,
    read = "sequential",
    refill = "always",
    onNearError,
    nearTtl,
  } = options;
  if (typeof label !== "string" || label === "") throw refusal(`label must be a non-empty text, got ${shown(label)}`);
  oneOf("read", read, ["sequential", "race"]);
  oneOf("refill", refill, ["always", "never"]);
  if (onNearError !== undefined && typeof onNearError !== "function")
    throw refusal(`onNearError must be a function, got ${shown(onNearError)}`);
  return {
    nearTtlMs: msOf(nearTtl),
    label,
    isRace: read === "race",
    refills: refill === "always",
    onNearError:
      onNearError === undefined ? warningOnce(label, near) : (error) => void notify(onNearError, error).catch(ignore),
    clock: options.clock ?? systemClock,
  };
}

function checkSides(near: Backend, far: Backend): void {
  for (const [name, side] of Object.entries({ near, far }))
    if (!METHODS.every((method) => has(side, method)))
      throw refusal(
        `${name} must be a backend such as redis(url).build(), got ${shown(side)}${has(side, "build") ? "; did you forget .build()?" : ""}`,
      );
  if (near.keepsMeta === false)
    throw refusal(
      `near must have room for what is known of a copy, and ${near.label} keeps no meta; use its full layout`,
    );
  if (far.sealedBy !== undefined && near.sealedBy === undefined)
    throw refusal(`near would keep entries of ${far.label} without its seal; seal both sides, or the composition`);
}

function msOf(nearTtl: unknown): number {
  const accepted = 'more than 0 milliseconds (60_000), or a number with a unit ("1m")';
  if (nearTtl === undefined)
    throw refusal(`nearTtl must be given: ${accepted}; copies in near hide changes by other processes for that long`);
  try {
    const ms = typeof nearTtl === "string" ? parseDuration(nearTtl) : (nearTtl as number);
    if (ms > 0 && Number.isFinite(ms)) return ms;
  } catch {
    // Refused below.
  }
  throw refusal(`nearTtl must be ${accepted}, got ${shown(nearTtl)}`);
}

function oneOf(option: string, given: string, accepted: readonly string[]): void {
  if (!accepted.includes(given)) throw refusal(`${option} must be one of ${accepted.join(", ")}, got ${shown(given)}`);
}

const refusal = (reason: string): ConfigurationError => new ConfigurationError(`compose: ${reason}`);

function shown(given: unknown): string {
  if (typeof given === "string") return JSON.stringify(given.slice(0, 40));
  if (Array.isArray(given)) return "an array";
  return typeof given === "object" && given !== null
    ? "an object"
    : typeof given === "function"
      ? "a function"
      : String(given);
}

/** A listener that throws or rejects changes nothing. */
async function notify(listener: NonNullable<ComposeOptions["onNearError"]>, error: Error): Promise<void> {
  await listener(error);
}

/** A message that is not ours may contain anything, so it is not shown. */
function warningOnce(label: string, near: Backend): (error: Error) => void {
  let isShown = false;
  return (error) => {
    if (isShown) return;
    isShown = true;
    const reason = error instanceof CacheError ? error.message : `${near.label} failed with ${nameOf(error)}`;
    process.emitWarning(
      `hotset: ${label}: ${reason}; calls are answered without it. Shown once; onNearError gets all`,
      {
        type: "HotsetWarning",
        code: "HOTSET_NEAR_FAILED",
      },
    );
  };
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : typeof error);

const has = (side: unknown, method: string): boolean =>
  typeof (side as Readonly<Record<string, unknown>> | null | undefined)?.[method] === "function";

const METHODS = ["read", "write", "remove", "close"] as const;
const NAMES = ["nearTtl", "label", "read", "refill", "onNearError", "clock"];
