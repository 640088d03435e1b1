import { BulkWrites } from "../engine/bulk-writes.ts";
import { ChangeSubscription } from "../coherence/change-subscription.ts";
import { KeyAliases } from "../coherence/key-aliases.ts";
import { BackendParts } from "../coherence/parts.ts";
import { Trust } from "../coherence/trust.ts";
import type { Backend, Coherence } from "../contracts/backend.ts";
import { systemClock, type Clock } from "../contracts/clock.ts";
import { createEvents, notify, type Events } from "../primitives/event-port.ts";
import type { LocalTier } from "../contracts/local-tier.ts";
import type { NamespaceContext } from "../engine/call.ts";
import { Lifecycle, type EngineContext } from "../engine/context.ts";
import { Flights } from "../engine/flights.ts";
import { LoadedStore } from "../engine/loaded-store.ts";
import { Mutations } from "../engine/mutations.ts";
import { ReadThrough } from "../engine/read-through.ts";
import { Touch } from "../engine/touch.ts";
import { Reads } from "../engine/reads.ts";
import { RemoteChanges } from "../engine/remote-changes.ts";
import { Waiters } from "../engine/waiters.ts";
import { backendKeyOf, parseLocalKey, rootKeySpace, type KeySpace } from "../entry/key.ts";
import type { ResolvedPolicy } from "../entry/policy.ts";
import { DecisionLog } from "../primitives/decision-log.ts";
import { KeyedQueue } from "../primitives/keyed-queue.ts";
import { Meters } from "../primitives/meters.ts";
import { Semaphore } from "../primitives/semaphore.ts";
import { KnownVersions } from "../tags/known-versions.ts";
import { TagEvents } from "../tags/tag-events.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";
import { LocalCopies } from "../tiers/local-copies.ts";
import { Recovery } from "../tiers/recovery.ts";
import { RemoteTier } from "../tiers/remote-tier.ts";
import type { CacheOptions } from "./cache-options.ts";
import { speakUp, warnOf } from "./reporter.ts";
import type { Engine } from "./namespace-view.ts";

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
  /** The root namespace. */
  readonly namespace: NamespaceContext;
  readonly waiters: Waiters;
  readonly backend: Backend | undefined;
  /** Absent where the backend reports no changes. */
  readonly subscription: ChangeSubscription | undefined;
  /** Warns of too many open caches. */
  readonly warn: (text: string) => void;
}

/** The parts that every other part is built on. */
interface Base {
  readonly plan: Plan;
  readonly root: KeySpace;
  readonly clock: Clock;
  readonly events: Events;
  readonly redactKey: EngineContext["redactKey"];
  readonly tags: TagEvents;
  readonly trust: Trust;
  readonly parts: BackendParts;
}

/**
 * Parts that earlier ones call, and that are built from those earlier ones. `assemble` fills them in before it returns;
 * nothing calls them before the first call of the cache.
 */
interface Later {
  mutations: Mutations;
  changes: RemoteChanges;
  subscription: ChangeSubscription | undefined;
}

/** Puts the parts of one cache together. Opens nothing. */
export function assemble(plan: Plan): Assembly {
  const { options, local, backend, policy } = plan;
  const root = rootKeySpace(options.name, options.version);
  const clock = options.clock ?? systemClock;
  const redactKey = redactionOf(options.redactKeys);
  const events = createEvents({ clock, redactKey });
  speakUp(events, options.name, options.logger);
  const parts = new BackendParts(backend?.parts);
  const reporting = typeof backend?.coherence === "object" ? backend.coherence : undefined;
  const trust = new Trust(
    reporting && {
      parts,
      maxStalenessMs: reporting.maxStalenessMs ?? MAX_STALENESS_MS,
      backendKey: (localKey) => backendKeyOf(root, localKey),
      versionsKey: root.tagPrefixes[0]!,
    },
  );
  const base: Base = { plan, root, clock, events, redactKey, tags: new TagEvents(), trust, parts };
  const later = {} as Later;
  const { coherence, aliases, known, remote } = openTiers(base, later);
  const context = contextOf(base, later, { coherence, known, remote });

  const waiters = new Waiters(context);
  const loadedStore = new LoadedStore(context, waiters);
  const readThrough = new ReadThrough(context, waiters, loadedStore);
  const reads = new Reads(context);
  later.mutations = new Mutations(context, readThrough, loadedStore);
  if (remote !== undefined) later.changes = new RemoteChanges({ context, root, table: known, remote, aliases });
  if (coherence !== undefined)
    later.subscription = new ChangeSubscription(coherence, clock, base.trust, later.changes.listener());
  if (local !== undefined) reportEvictions(local, base);
  return {
    engine: { context, readThrough, mutations: later.mutations, reads, touch: new Touch(context, reads, loadedStore) },
    namespace: { keySpace: root, policy, schema: undefined, checksLoads: false, remote, meter: context.meters.of([]) },
    waiters,
    backend,
    subscription: later.subscription,
    warn: (text) => warnOf(options.name, options.logger, "OPEN_CACHES", text),
  };
}

interface Tiers {
  /** Absent where the backend reports no changes. */
  readonly coherence: Coherence | undefined;
  readonly aliases: KeyAliases | undefined;
  /** Absent where changes of tag versions are not reported: then none can be known to be current. */
  readonly known: KnownVersions | undefined;
  readonly remote: EntryTier | undefined;
}

function openTiers({ plan: { options, backend }, clock, events, tags, trust, parts }: Base, later: Later): Tiers {
  if (backend === undefined) return { coherence: undefined, aliases: undefined, known: undefined, remote: undefined };
  const coherence = typeof backend.coherence === "object" ? backend.coherence : undefined;
  const aliases =
    coherence === undefined || backend.alias === undefined
      ? undefined
      : new KeyAliases(
          (key) => backend.alias!(key),
          (key) => later.changes.forgotten(key),
        );
  const known = coherence === undefined ? undefined : new KnownVersions(trust, clock, () => tags.forgotten(), aliases);
  const remote = new RemoteTier(backend, clock, events, options.name, {
    parts,
    table: known,
    aliases,
    used: () => void later.subscription?.start(),
  });
  return { coherence, aliases, known, remote };
}

function contextOf(base: Base, later: Later, { coherence, known, remote }: Omit<Tiers, "aliases">): EngineContext {
  const {
    plan: { options, local },
    root,
    clock,
    events,
    tags,
    trust,
  } = base;
  const { name, explain, waitUntil } = options;
  const isDevelopment = process.env["NODE_ENV"] !== "production";
  const freezesShared = options.freezeShared ?? isDevelopment;
  return {
    name,
    clock,
    random: Math.random,
    local:
      local && new LocalCopies({ tier: local, tags, trust, table: known, clock, events, cache: name, freezesShared }),
    recovery:
      remote &&
      new Recovery({
        remote,
        clock,
        events,
        cache: name,
        root,
        replayed: {
          key: (key) => later.mutations.replayed(key),
          tags: (space, keys) => tags.acknowledged(space, keys, "hard"),
        },
        reissueWindowMs: coherence === undefined ? 0 : (coherence.reissueWindowMs ?? REISSUE_WINDOW_MS),
      }),
    events,
    redactKey: base.redactKey,
    decisions: explain === undefined ? undefined : new DecisionLog(clock, explain),
    meters: new Meters(),
    tags,
    trust,
    flights: new Flights(trust),
    leases: new Set(),
    writes: new KeyedQueue(),
    bulkWrites: new BulkWrites(),
    loads: new Semaphore(options.maxLoads ?? 1_000),
    backgroundLoads: new Semaphore(options.maxBackgroundLoads ?? 100),
    maxWaiting: options.maxWaiting ?? 100_000,
    // A host may refuse work, outside of a request for example; the work goes on all the same.
    waitUntil: waitUntil && ((work) => notify(waitUntil, work)),
    checksHits: isDevelopment,
    lifecycle: new Lifecycle(),
  };
}

function reportEvictions(local: LocalTier, { plan: { options }, clock, events }: Base): void {
  local.attach({
    clock,
    evicted(localKey, reason) {
      if (!events.evict.isObserved) return;
      const { path, key } = parseLocalKey(localKey);
      events.evict.emit({ cache: options.name, namespace: path, key, tier: local.label, reason });
    },
  });
}

function redactionOf(redactKeys: CacheOptions["redactKeys"]): EngineContext["redactKey"] {
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

const REDACTED = "[redacted]";
const MAX_STALENESS_MS = 2_000;
const REISSUE_WINDOW_MS = 30_000;
