import { CacheError, ConfigurationError, systemClock, type Backend } from "@hotset/core";
import {
  callback,
  CLOCK,
  describe,
  duration,
  notify,
  oneOf,
  optionsOf,
  text,
  type Option,
} from "@hotset/core/internal";
import type { ComposeOptions } from "./options.ts";

const MS = duration(undefined, Number.MIN_VALUE, Number.MAX_VALUE);
const NEAR_TTL: typeof MS = {
  ...MS,
  accepts: 'more than 0 milliseconds (60_000), or a number with a unit ("1m")',
  read(given, name) {
    try {
      return MS.read(given, name);
    } catch {
      // Refused as any other.
      return undefined;
    }
  },
};

/** A test compares the reference page with it. */
export const COMPOSE_OPTIONS = {
  nearTtl: NEAR_TTL,
  label: text(undefined),
  read: oneOf("sequential", "race"),
  refill: oneOf("always", "never"),
  onNearError: callback<ComposeOptions["onNearError"]>(),
  clock: CLOCK,
} satisfies Record<keyof ComposeOptions, Option>;

/** @throws {ConfigurationError} for sides that cannot be composed, and for options out of range. */
export function planOf(near: Backend, far: Backend, options: ComposeOptions) {
  checkSides("compose", { near, far });
  const read = optionsOf("compose", options ?? null, COMPOSE_OPTIONS, ConfigurationError);
  const { nearTtl: nearTtlMs, label = `${near.label}+${far.label}`, onNearError, clock = systemClock } = read;
  if (nearTtlMs === undefined)
    throw refusal(
      "compose",
      `nearTtl must be given: ${NEAR_TTL.accepts}; copies in near hide changes by other processes for that long`,
    );
  return {
    nearTtlMs,
    label,
    isRace: read.read === "race",
    refills: read.refill === "always",
    onNearError: reporting(onNearError, {
      label,
      side: near,
      effect: "calls are answered without it. Shown once; onNearError gets all",
      code: "HOTSET_NEAR_FAILED",
    }),
    clock,
  };
}

/** How failures of a side are reported that nothing else does. */
export const reporting = (
  listener: ComposeOptions["onNearError"],
  warning: Parameters<typeof warningOnce>[0],
): ((error: Error) => void) => (listener === undefined ? warningOnce(warning) : (error) => notify(listener, error));

/** @param sides by their names: the one that keeps copies, and the one that they are of. */
export function checkSides(place: string, sides: Readonly<Record<string, Backend>>): void {
  for (const [name, side] of Object.entries(sides))
    if (!METHODS.every((method) => has(side, method)))
      throw refusal(
        place,
        `${name} must be a backend such as redis(url).build(), got ${describe(side)}${has(side, "build") ? "; did you forget .build()?" : ""}`,
      );
  const [[copies, copying], [, copied]] = Object.entries(sides) as [[string, Backend], [string, Backend]];
  if (copying.keepsMeta === false)
    throw refusal(
      place,
      `${copies} must have room for what is known of a copy, and ${copying.label} keeps no meta; use its full layout`,
    );
  if (copied.sealedBy !== undefined && copying.sealedBy === undefined)
    throw refusal(
      place,
      `${copies} would keep entries of ${copied.label} without its seal; seal both sides, or the composition`,
    );
}

export const refusal = (place: string, reason: string): ConfigurationError =>
  new ConfigurationError(`${place}: ${reason}`);

/** A message that is not ours may contain anything, so it is not shown. */
function warningOnce({ label, side, effect, code }: Warning): (error: Error) => void {
  let isShown = false;
  return (error) => {
    if (isShown) return;
    isShown = true;
    const reason = error instanceof CacheError ? error.message : `${side.label} failed with ${nameOf(error)}`;
    process.emitWarning(`hotset: ${label}: ${reason}; ${effect}`, { type: "HotsetWarning", code });
  };
}

interface Warning {
  readonly label: string;
  readonly side: Backend;
  readonly effect: string;
  readonly code: string;
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : typeof error);

const has = (side: unknown, method: string): boolean =>
  typeof (side as Readonly<Record<string, unknown>> | null | undefined)?.[method] === "function";

const METHODS = ["read", "write", "remove", "close"] as const;
