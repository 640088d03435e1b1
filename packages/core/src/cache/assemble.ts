import type { ChangeSubscription } from "../coherence/change-subscription.ts";
import { type CopyTrust, TRUST_ALWAYS } from "../coherence/trust.ts";
import type { Backend } from "../contracts/capabilities.ts";
import { systemClock, type Clock } from "../contracts/clock.ts";
import { ConfigurationError } from "../contracts/errors.ts";
import type { LocalTier } from "../contracts/local-tier.ts";
import { Answers } from "../engine/answers.ts";
import { Backoffs } from "../engine/backoffs.ts";
import type { NamespaceContext } from "../engine/call.ts";
import { Callers } from "../engine/callers.ts";
import { Lifecycle, type EngineContext, type Limits, type Reporting } from "../engine/context.ts";
import type { FarFences } from "../engine/far-fences.ts";
import { Fences } from "../engine/fences.ts";
import { Flights } from "../engine/flights.ts";
import { Ladder } from "../engine/ladder.ts";
import type { Lease, NewLease } from "../engine/lease.ts";
import { Mutations } from "../engine/mutations.ts";
import { Reads } from "../engine/reads.ts";
import type { RemoteChangesOf } from "../engine/remote-changes.ts";
import { TagCalls } from "../engine/tag-calls.ts";
import { Touch } from "../engine/touch.ts";
import { Verifier } from "../engine/verifier.ts";
import { verifySettings } from "../engine/verify-options.ts";
import { parseLocalKey, rootKeySpace, type KeySpace } from "../entry/key.ts";
import { NewKeys, newKeysBudget } from "../entry/new-keys.ts";
import type { ResolvedPolicy } from "../entry/policy.ts";
import { DecisionLog } from "../primitives/decision-log.ts";
import { createEvents, notify } from "../primitives/event-port.ts";
import { KeyedQueue } from "../primitives/keyed-queue.ts";
import { LinkedSet } from "../primitives/linked-set.ts";
import { Meters } from "../primitives/meters.ts";
import { IN_WORKER, isDevelopment } from "../primitives/platform.ts";
import { Semaphore } from "../primitives/semaphore.ts";
import type { KnownVersions } from "../tags/known-versions.ts";
import { TagEvents } from "../tags/tag-events.ts";
import { LocalCopies } from "../tiers/local-copies.ts";
import type { Recovery } from "../tiers/recovery.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import { CACHE_OPTIONS, type CacheOptions } from "./cache-options.ts";
import { firstMistakes } from "./first-mistakes.ts";
import { InvalidationFollowers } from "./invalidation-followers.ts";
import type { Engine } from "./namespace-view.ts";
import { speakUp, warnOf } from "./reporter.ts";

/** A cache as the builder has described it. */
export interface Plan {
  readonly options: CacheOptions;
  readonly local: LocalTier | undefined;
  readonly backend: Backend | undefined;
  readonly policy: ResolvedPolicy;
}

/** The parts of one cache, put together. */
export interface Assembly {
  readonly engine: Engine;
  readonly context: EngineContext;
  /** Requested or held. */
  readonly leases: Iterable<Lease>;
  readonly backoffs: Backoffs;
  /** The root namespace. */
  readonly namespace: NamespaceContext;
  readonly backend: Backend | undefined;
  /** Absent where the backend reports no changes. */
  readonly subscription: ChangeSubscription | undefined;
  /** Warns of too many open caches. */
  readonly warn: (text: string) => void;
}

/** The parts of a cache that its backend needs; some are made before the others. */
export interface Opening {
  readonly trust: CopyTrust;
  /** Absent where changes of tag versions are not reported: none can be known to be current. */
  readonly known: KnownVersions | undefined;
  attach(shared: RemoteChangesOf & { readonly leases: LinkedSet<Lease> }): {
    readonly remote: RemoteTier;
    readonly recovery: Recovery;
    readonly subscription: Assembly["subscription"];
    readonly newLease: NewLease;
    readonly farFences: FarFences;
  };
}

export interface OpeningOf {
  readonly root: KeySpace;
  readonly clock: Clock;
  readonly tags: TagEvents;
  readonly warn: (kind: string, text: string) => void;
}

let open: ((backend: Backend, of: OpeningOf) => Opening) | undefined;

/** A backend brings it along: a program without one has none of it in its bundle. */
export function bring(given: NonNullable<typeof open>): void {
  open = given;
}

/** Puts the parts of one cache together, each out of those above it. Opens nothing. */
export function assemble({ options, local: tier, backend, policy }: Plan): Assembly {
  const { name, explain, waitUntil } = options;
  const root = rootKeySpace(name, options.version);
  const clock = options.clock ?? systemClock;
  const redactKey = redactionOf(options.redactKeys);
  const events = createEvents({ clock, redactKey });
  speakUp(events, name, options.logger);
  const warn = (kind: string, text: string): void => warnOf(name, options.logger, kind, text);
  // On another clock it is of a test.
  const watches = isDevelopment() && clock === systemClock;
  const freezesShared = options.freezeShared ?? isDevelopment();

  const tags = new TagEvents();
  if (backend !== undefined && open === undefined) throw plainObject(backend);
  const opening = backend && open!(backend, { root, clock, tags, warn });
  const trust = opening?.trust ?? TRUST_ALWAYS;
  const known = opening?.known;
  const local = tier && new LocalCopies({ tier, tags, trust, table: known, clock, events, cache: name, freezesShared });
  const leases = new LinkedSet<Lease>();
  const backoffs = new Backoffs(tags);
  const shared = {
    name,
    clock,
    events,
    redactKey,
    decisions: explain === undefined ? undefined : new DecisionLog(clock, explain),
    onHit: undefined,
    observer: undefined,
    verifier: undefined,
    notice: watches ? firstMistakes(backend, redactKey ?? String, warn) : undefined,
    local,
    flights: new Flights(trust),
    tags,
    trust,
    writes: new KeyedQueue(),
  };
  const far = opening?.attach({ ...shared, leases, backoffs });
  const context: EngineContext = {
    ...shared,
    recovery: far?.recovery,
    barrier: undefined,
    ...limitsOf(options),
    lifecycle: new Lifecycle(),
    // A host may refuse work, outside of a request for example; the work continues all the same.
    waitUntil: waitUntil && ((work) => notify(waitUntil, work)),
  };
  if (tier !== undefined) reportEvictions(tier, shared);

  const all = new Meters(options.keyGroups);
  const engine = engineOf(context, { leases, backoffs, meters: all }, far);
  return {
    engine,
    context,
    leases,
    backoffs,
    namespace: rootNamespace(options, { keySpace: root, policy, remote: far?.remote, meters: all.of([]) }),
    backend,
    subscription: far?.subscription,
    warn: (text) => warn("OPEN_CACHES", text),
  };
}

/** The namespace that a cache itself is, above all others. */
function rootNamespace(
  { newKeys }: CacheOptions,
  of: Pick<NamespaceContext, "keySpace" | "policy" | "remote" | "meters">,
): NamespaceContext {
  return { ...of, schema: undefined, checksLoads: false, newKeys: newKeys && newKeysBudget(newKeys) };
}

function limitsOf({ maxLoads, maxBackgroundLoads, maxWaiting }: CacheOptions): Limits {
  return {
    loads: new Semaphore(maxLoads ?? CACHE_OPTIONS.maxLoads.default),
    backgroundLoads: new Semaphore(maxBackgroundLoads ?? CACHE_OPTIONS.maxBackgroundLoads.default),
    maxWaiting: maxWaiting ?? CACHE_OPTIONS.maxWaiting.default,
    newKeys: new NewKeys(),
  };
}

function engineOf(
  context: EngineContext,
  { leases, backoffs, meters }: Pick<Assembly, "leases" | "backoffs"> & { readonly meters: Meters },
  far: ReturnType<Opening["attach"]> | undefined,
): Engine {
  const answers = new Answers(context);
  const callers = new Callers(context, answers);
  const reads = new Reads(context, answers);
  const fences = new Fences(context, far?.farFences);
  return {
    context,
    meters,
    checksHits: isDevelopment(),
    callers,
    ladder: new Ladder(context, answers, callers, backoffs, far?.newLease),
    mutations: new Mutations(context, backoffs, fences, far?.farFences),
    fences,
    tagCalls: new TagCalls(context, leases),
    followers: new InvalidationFollowers(context),
    reads,
    touch: new Touch(context, reads),
  };
}

/**
 * Attaches what compares hits with their source.
 *
 * @param settles how long a difference is waited for, in place of the option `settle`.
 * @returns it, unless it is switched off, or runs in a worker.
 */
export function startVerifying(
  { context, engine }: Pick<Assembly, "context" | "engine">,
  options: CacheOptions["verify"],
  settles?: () => Promise<void>,
): Verifier | undefined {
  if (options === undefined || options === false) return undefined;
  const settings = verifySettings(options === true ? {} : options);
  if (IN_WORKER && !settings.inWorkers) return undefined;
  const verifier = new Verifier(context, engine.reads, settings, settles);
  context.verifier = verifier;
  return verifier;
}

function reportEvictions(tier: LocalTier, { name, clock, events }: Reporting): void {
  tier.attach({
    clock,
    evicted(localKey, reason) {
      if (!events.evict.isObserved) return;
      const { path, key } = parseLocalKey(localKey);
      events.evict.emit({ cache: name, namespace: path, key, tier: tier.label, reason });
    },
  });
}

function redactionOf(redactKeys: CacheOptions["redactKeys"]): Reporting["redactKey"] {
  if (redactKeys === undefined || redactKeys === false) return undefined;
  if (redactKeys === true) return () => REDACTED;
  return (key) => {
    try {
      const shown: unknown = redactKeys(key);
      return typeof shown === "string" ? shown : REDACTED;
    } catch {
      return REDACTED;
    }
  };
}

function plainObject(backend: Backend): ConfigurationError {
  const isPlain = Object.getPrototypeOf(backend) === Object.prototype;
  const why = isPlain ? "a plain object" : "of another copy of hotset: import or require all of it";
  const message = `the backend ${backend.label} is ${why}; write tier(defineBackend(backend))`;
  return new ConfigurationError(`tier: ${message}, which brings what a cache needs`, { tier: backend.label });
}
const REDACTED = "[redacted]";
