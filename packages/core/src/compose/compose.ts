import type { KeyAliases } from "../coherence/key-aliases.ts";
import type { Backend, Coherence } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import { ComposedTier, type CompositionPlan } from "./composed-tier.ts";
import { describe, toMs, type Duration } from "../primitives/duration.ts";
import { ConfigurationError } from "../contracts/errors.ts";
import type { Events } from "../primitives/event-port.ts";
import type { KeySpace } from "../entry/key.ts";
import { checkOptions } from "../entry/policy.ts";
import { RememberedVersions } from "../tags/remembered-versions.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";
import { RemoteTier } from "../tiers/remote-tier.ts";
import type { KnownVersions } from "../tags/known-versions.ts";

export interface ComposeOptions {
  /** @default near.label + '+' + far.label */
  readonly label?: string;
  /** `race`: the first hit wins. `freshest`: the longest remaining life wins. @default 'sequential' */
  readonly read?: "sequential" | "race" | "freshest";
  /** Fails only when both fail, with both causes. @default 'parallel' */
  readonly write?: "sequential" | "parallel" | "race";
  /** Whether a fresh hit in `far` is copied to `near` with its remaining life. @default 'always' */
  readonly refill?: "always" | "never";
  /** The longest that a copy in `near` may live. Must be given where `far` has no coherence. @default Infinity */
  readonly nearTtl?: Duration;
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
 * Two backends as one. Either may be a composition itself. Leases and tag versions are those of `far` where it has
 * them, else those of `near`. While the side with the tag versions is unreachable, entries are checked against the
 * versions read last.
 *
 * The first fresh hit wins a read, never the first answer; a stale copy in `near` does not hide a fresh one in `far`. A
 * removal is `pending` until both sides have acknowledged it. A write succeeds when one side stored it; an older entry
 * on the other side is removed before that side is read for the key again.
 *
 * Changes are received from both sides. Where all of `far` reports changes, a copy in `near` answers alone only while
 * it is known to match `far`: when `far` reports a change, the copy is removed from `near`, and while messages of `far`
 * do not arrive, no copy is trusted. Where `far` does not answer, copies in `near` are served as fallback.
 *
 * @throws {ConfigurationError} for an option out of range, and when `far` has no coherence and `nearTtl` is not given.
 */
export function compose(
  near: Backend | ComposedBackend,
  far: Backend | ComposedBackend,
  options: ComposeOptions = {},
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
  if (options.nearTtl === undefined && !reportsChanges(far))
    throw new ConfigurationError(
      `compose: nearTtl must be given: ${far.label} reports no changes, so nothing else bounds how stale a copy in ${near.label} may be`,
    );
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
export interface TierParts {
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  readonly root: KeySpace;
  /** The tag versions that are known to be current; `undefined` where changes of them are not reported. */
  readonly table: KnownVersions | undefined;
  /** For each backend whose messages name keys by aliases. */
  readonly aliases: ReadonlyMap<Backend, KeyAliases>;
  /** Called at the first use of a backend. */
  readonly used: (backend: Backend) => void;
  /**
   * `clock.now()` until which every change in a backend is known to have arrived; `Infinity` where no other process
   * writes.
   */
  readonly trustedUntil: (backend: Backend) => number;
}

/** The tier over a backend or a composition. */
export function entryTier(backend: Backend | ComposedBackend, parts: TierParts): EntryTier {
  if (isComposed(backend)) return (backend as Composition).open(backend, parts);
  const { clock, events, cache, table, aliases, used } = parts;
  return new RemoteTier(backend, clock, events, cache, {
    table,
    aliases: aliases.get(backend),
    used: () => used(backend),
  });
}

function composedTier(
  backend: ComposedBackend,
  { clock, events, cache, root, table, aliases, used, trustedUntil }: TierParts,
): EntryTier {
  const tiers = new Map(
    leaves(backend).map((each) => [
      each,
      new RemoteTier(each, clock, events, cache, {
        table,
        aliases: aliases.get(each),
        used: () => used(each),
        isComposed: true,
      }),
    ]),
  );
  const source = tiers.get(versionsOf(backend))!.versions;
  // All levels share one memory: an invalidation through one level holds for the whole composition.
  const versions = source && new RememberedVersions(source, table);
  const tierOf = (part: Backend | ComposedBackend): EntryTier => {
    if (!isComposed(part)) return tiers.get(part)!;
    const { plan, near, far } = part as Composition;
    const inFar = leaves(far);
    const needsProof = reportsChanges(far) && coherent(far).length !== 0;
    const farTrustedUntil = (): number => Math.min(...inFar.map(trustedUntil));
    return new ComposedTier(plan, tierOf(near), tierOf(far), {
      clock,
      events,
      cache,
      root,
      versions,
      inFar: new Set(inFar),
      farTrustedUntil: needsProof ? farTrustedUntil : undefined,
    });
  };
  return tierOf(backend);
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

function planOf(defaultLabel: string, options: ComposeOptions): CompositionPlan {
  try {
    checkOptions(options, OPTIONS);
    const {
      label = defaultLabel,
      read = "sequential",
      write = "parallel",
      refill = "always",
      nearTtl = Infinity,
    } = options;
    if (typeof label !== "string" || label === "")
      throw new ConfigurationError(`label must be a non-empty string, got ${describe(label)}`);
    oneOf("read", read, ["sequential", "race", "freshest"]);
    oneOf("write", write, ["sequential", "parallel", "race"]);
    oneOf("refill", refill, ["always", "never"]);
    const nearTtlMs = toMs("nearTtl", nearTtl);
    if (nearTtlMs <= 0) throw new ConfigurationError(`nearTtl must be more than 0, got ${describe(nearTtl)}`);
    return { label, read, write, refill, nearTtlMs };
  } catch (cause) {
    throw new ConfigurationError(`compose: ${(cause as Error).message}`, { cause });
  }
}

const OPTIONS = new Set(["label", "read", "write", "refill", "nearTtl"]);

function oneOf(option: string, given: string, accepted: readonly string[]): void {
  if (!accepted.includes(given))
    throw new ConfigurationError(`${option} must be one of ${accepted.join(", ")}, got ${describe(given)}`);
}
