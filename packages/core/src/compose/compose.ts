import type { KeyAliases } from "../coherence/key-aliases.ts";
import type { Backend, Coherence } from "../contracts/backend.ts";
import { ComposedTier } from "./composed-tier.ts";
import type { CompositionParts, CompositionPlan } from "./composition.ts";
import { describe, toMs, type Duration } from "../primitives/duration.ts";
import { ConfigurationError } from "../contracts/errors.ts";
import { checkOptions } from "../entry/policy.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";
import { RemoteTier } from "../tiers/remote-tier.ts";

/** Options of `compose`. */
export interface ComposeOptions {
  /** @default near.label + '+' + far.label */
  readonly label?: string | undefined;
  /** `race`: the first hit wins. `freshest`: the longest remaining life wins. @default 'sequential' */
  readonly read?: "sequential" | "race" | "freshest" | undefined;
  /** Fails only when both fail, with both causes. @default 'parallel' */
  readonly write?: "sequential" | "parallel" | "race" | undefined;
  /** Whether a fresh hit in `far` is copied to `near` with its remaining life. @default 'always' */
  readonly refill?: "always" | "never" | undefined;
  /**
   * The longest that a copy in `near` may live, and so the longest that it may hide a change in `far` by another
   * process; where replicas answer for `far`, their lag comes on top. More than 0; `Infinity` lets a copy live as long
   * as its entry.
   */
  readonly nearTtl: Duration;
}

const COMPOSED: unique symbol = Symbol("hotset.composed");

/**
 * Two backends as one tier. It handles entries, not bytes: each backend keeps its own format and compressor, and bytes
 * are made once where both agree on these.
 */
export interface ComposedBackend {
  readonly label: string;
  readonly [COMPOSED]: true;
}

interface Composition extends ComposedBackend {
  readonly near: Backend | ComposedBackend;
  readonly far: Backend | ComposedBackend;
  readonly plan: CompositionPlan;
  /** Named in `compose` alone, so that a bundler drops this code from a program that composes nothing. */
  readonly open: typeof composedTier;
}

/**
 * Two backends as one: `far` holds the entries, and `near` holds copies of them for at most `nearTtl`. Either may be a
 * composition itself. Leases and tag versions are those of `far` where it has them, else those of `near`.
 *
 * The first fresh hit wins a read, never the first answer; a stale copy in `near` does not hide a fresh one in `far`. A
 * change by another process may be hidden by a copy in `near` until that copy ends. A change by this process is not: it
 * goes to both sides. A removal is `pending` until both have acknowledged it. A write succeeds when one side stored it;
 * an older entry on the other side is removed before that side is read for the key again.
 *
 * While the tag versions cannot be read, copies in `near` are served unless this process invalidated them, and entries
 * of `far` are not.
 *
 * @throws {ConfigurationError} for an option out of range, and when `nearTtl` is not given.
 */
export function compose(
  near: Backend | ComposedBackend,
  far: Backend | ComposedBackend,
  options: ComposeOptions,
): ComposedBackend {
  for (const [name, side] of [
    ["near", near],
    ["far", far],
  ] as const)
    if (!isComposed(side) && !isBackend(side))
      throw new ConfigurationError(
        `compose: ${name} must be a backend such as redis(url).build(), got ${describe(side)}`,
      );
  const plan = planOf(`${near.label}+${far.label}`, options);
  const composition: Composition = { label: plan.label, [COMPOSED]: true, near, far, plan, open: composedTier };
  return Object.freeze(composition);
}

/** The backends that a tier is made of, `near` first. */
export function leaves(backend: Backend | ComposedBackend): readonly Backend[] {
  if (!isComposed(backend)) return [backend];
  const { near, far } = backend as Composition;
  return [...leaves(near), ...leaves(far)];
}

/** Whether every change by another process is reported. True where no other process writes. */
export const reportsChanges = (backend: Backend | ComposedBackend): boolean =>
  leaves(backend).every(({ coherence }) => coherence !== undefined);

/** The backends that report changes. */
export const coherent = (
  backend: Backend | ComposedBackend,
): readonly (Backend & { readonly coherence: Coherence })[] =>
  leaves(backend).filter(
    (each): each is Backend & { readonly coherence: Coherence } => typeof each.coherence === "object",
  );

export const isComposed = (backend: unknown): backend is ComposedBackend =>
  (backend as Partial<ComposedBackend> | null | undefined)?.[COMPOSED] === true;

export const isBackend = (tier: unknown): tier is Backend =>
  (["read", "write", "remove", "close"] as const).every(
    (method) => typeof (tier as Partial<Backend> | null | undefined)?.[method] === "function",
  );

/** The parts of its cache that a tier uses. */
export interface TierParts extends Omit<CompositionParts, "versions" | "isNear"> {
  /** For each backend whose messages name keys by aliases. */
  readonly aliases: ReadonlyMap<Backend, KeyAliases>;
  /** Called at the first use of a backend. */
  readonly used: (backend: Backend) => void;
}

/** The tier over a backend or a composition. */
export function entryTier(backend: Backend | ComposedBackend, parts: TierParts): EntryTier {
  return isComposed(backend) ? (backend as Composition).open(backend, parts) : remoteTier(backend, parts);
}

function remoteTier(
  backend: Backend,
  { clock, events, cache, table, aliases, used }: TierParts,
  of: { readonly isComposed?: boolean } = {},
): RemoteTier {
  const parts = { ...of, table, aliases: aliases.get(backend), used: () => used(backend) };
  return new RemoteTier(backend, clock, events, cache, parts);
}

function composedTier(backend: ComposedBackend, parts: TierParts): EntryTier {
  const tiers = new Map(leaves(backend).map((each) => [each, remoteTier(each, parts, { isComposed: true })]));
  const { versions } = tiers.get(versionsOf(backend))!;
  const tierOf = (part: Backend | ComposedBackend, isNear: boolean): EntryTier => {
    if (!isComposed(part)) return tiers.get(part)!;
    const { plan, near, far } = part as Composition;
    return new ComposedTier(plan, tierOf(near, IN_NEAR), tierOf(far, isNear), { ...parts, versions, isNear });
  };
  return tierOf(backend, !IN_NEAR);
}

/**
 * The backend whose tag versions count: the farthest that issues them, else the farthest that has room for them. For a
 * plain backend, that backend.
 */
export function versionsOf(backend: Backend | ComposedBackend): Backend {
  const fromFar = leaves(backend).toReversed();
  return (
    fromFar.find(({ tagVersions }) => tagVersions !== undefined) ??
    fromFar.find(({ keepsMeta }) => keepsMeta !== false) ??
    fromFar[0]!
  );
}

function planOf(defaultLabel: string, options: Partial<ComposeOptions> = {}): CompositionPlan {
  try {
    checkOptions(options, OPTIONS);
    const { label = defaultLabel, read = "sequential", write = "parallel", refill = "always", nearTtl } = options;
    if (typeof label !== "string" || label === "")
      throw new ConfigurationError(`label must be a non-empty string, got ${describe(label)}`);
    oneOf("read", read, ["sequential", "race", "freshest"]);
    oneOf("write", write, ["sequential", "parallel", "race"]);
    oneOf("refill", refill, ["always", "never"]);
    if (nearTtl === undefined)
      throw new ConfigurationError(
        'nearTtl must be given: more than 0 milliseconds (60_000), a number with a unit ("1m"), or Infinity; copies in near hide changes by other processes for that long',
      );
    const nearTtlMs = toMs("nearTtl", nearTtl);
    if (nearTtlMs <= 0) throw new ConfigurationError(`nearTtl must be more than 0, got ${describe(nearTtl)}`);
    return { label, read, write, refill, nearTtlMs };
  } catch (cause) {
    throw new ConfigurationError(`compose: ${(cause as Error).message}`, { cause });
  }
}

const IN_NEAR = true;
const OPTIONS = new Set(["label", "read", "write", "refill", "nearTtl"]);

function oneOf(option: string, given: string, accepted: readonly string[]): void {
  if (!accepted.includes(given))
    throw new ConfigurationError(`${option} must be one of ${accepted.join(", ")}, got ${describe(given)}`);
}
