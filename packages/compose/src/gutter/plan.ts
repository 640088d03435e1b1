import { ConfigurationError, systemClock, type Backend } from "@hotset/core";
import { callback, CLOCK, duration, optionsOf, text, type Option } from "@hotset/core/internal";
import { checkSides, refusal, reporting } from "../plan.ts";
import type { GutterOptions } from "./options.ts";

/** A test compares the reference page with it. */
export const GUTTER_OPTIONS = {
  ttl: duration(10_000, 1, 86_400_000),
  label: text(undefined),
  onSmallError: callback<GutterOptions["onSmallError"]>(),
  clock: CLOCK,
} satisfies Record<keyof GutterOptions, Option>;

/** @throws {ConfigurationError} for backends that cannot be composed, and for options out of range. */
export function gutterPlan(main: Backend, small: Backend, options: GutterOptions) {
  checkSides("gutter", { small, main });
  for (const [name, { label, leases, tagVersions }] of Object.entries({ main, small }))
    if (leases === undefined || tagVersions === undefined)
      throw refusal("gutter", `${name} must have leases and issue tag versions, and ${label} does not; use Redis`);
  const { coherence } = main;
  if (typeof coherence !== "object")
    throw refusal("gutter", `main must report changes by other processes, and ${main.label} does not`);
  if (main.parts !== undefined)
    throw refusal("gutter", `main must be one server or its replicas: of ${main.label}, each part fails alone`);
  if ((small.maxEntryBytes ?? Infinity) < (main.maxEntryBytes ?? Infinity))
    throw refusal("gutter", `small must take entries as large as main does; raise maxEntryBytes of ${small.label}`);
  const read = optionsOf("gutter", options ?? null, GUTTER_OPTIONS, ConfigurationError);
  const { ttl, label = `${main.label}+${small.label}`, onSmallError, clock = systemClock } = read;
  return {
    ttlMs: Math.floor(ttl),
    label,
    coherence,
    onSmallError: reporting(onSmallError, {
      label,
      side: small,
      effect: "each process loads for itself meanwhile. Shown once; onSmallError gets all",
      code: "HOTSET_GUTTER_FAILED",
    }),
    clock,
  };
}
