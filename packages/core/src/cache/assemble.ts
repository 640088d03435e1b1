import { BulkWrites } from "../engine/bulk-writes.ts";
import { ChangeSubscription } from "../coherence/change-subscription.ts";
import { KeyAliases } from "../coherence/key-aliases.ts";
import { Trust, type KeyParts } from "../coherence/trust.ts";
import { coherent, entryTier, leaves, versionsOf, type ComposedBackend } from "../compose/compose.ts";
import type { Backend } from "../contracts/backend.ts";
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
import { steadyParts } from "../tiers/steady-parts.ts";
import type { CacheOptions } from "./cache-options.ts";
import { speakUp, warnOf } from "./reporter.ts";
import type { Engine } from "./namespace-view.ts";

/** A cache as the builder has described it. */
export interface Plan {
  readonly options: CacheOptions;
  readonly local: LocalTier | undefined;
  readonly backend: Backend | ComposedBackend | undefined;
  readonly policy: ResolvedPolicy;
}

/** The parts of one cache, put together. */
export interface Assembly {
  readonly engine: Engine;
  /** The root namespace. */
  readonly namespace: NamespaceContext;
  readonly waiters: Waiters;
  /** Every backend, those inside a composition included. */
  readonly backends: readonly Backend[];
  /** One for each backend that reports changes. */
  readonly subscriptions: ReadonlyMap<Backend, ChangeSubscription>;
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
}

/**
 * Parts that earlier ones call, and that are built from those earlier ones. `assemble` fills them in before it returns;
 * nothing calls them before the first call of the cache.
 */
interface Later {
  mutations: Mutations;
  changes: RemoteChanges;
  subscriptions: ReadonlyMap<Backend, ChangeSubscription>;
}

/** Puts the parts of one cache together. Opens nothing. */
export function assemble(plan: Plan): Assembly {
  const { options, local, backend, policy } = plan;
  const root = rootKeySpace(options.name, options.version);
  const clock = options.clock ?? systemClock;
  const redactKey = redactionOf(options.redactKeys);
  const events = createEvents({ clock, redactKey });
  speakUp(events, options.name, options.logger);
  const base: Base = { plan, root, clock, events, redactKey, tags: new TagEvents(), trust: new Trust() };
  const later = {} as Later;
  const { reporting, aliases, known, remote } = openTiers(base, later);
  const context = contextOf(base, later, { reporting, known, remote });

  const waiters = new Waiters(context);
  const loadedStore = new LoadedStore(context, waiters);
  const readThrough = new ReadThrough(context, waiters, loadedStore);
  const reads = new Reads(context);
  later.mutations = new Mutations(context, readThrough, loadedStore);
  const backends = backend === undefined ? [] : leaves(backend);
  if (remote !== undefined)
    later.changes = new RemoteChanges({
      context,
      root,
      table: known,
      remote,
      aliases,
      isComposed: backends.length > 1,
    });
  later.subscriptions = new Map(
    reporting.map((each) => [
      each,
      new ChangeSubscription(each.coherence, clock, base.trust, later.changes.listenerOf(each), keyParts(each, root)),
    ]),
  );
  if (local !== undefined) reportEvictions(local, base);
  return {
    engine: { context, readThrough, mutations: later.mutations, reads, touch: new Touch(context, reads, loadedStore) },
    namespace: { keySpace: root, policy, schema: undefined, checksLoads: false, remote, meter: context.meters.of([]) },
    waiters,
    backends,
    subscriptions: later.subscriptions,
    warn: (text) => warnOf(options.name, options.logger, "OPEN_CACHES", text),
  };
}

type ReportingBackend = ReturnType<typeof coherent>[number];

interface Tiers {
  /** The backends that report changes. */
  readonly reporting: readonly ReportingBackend[];
  readonly aliases: ReadonlyMap<Backend, KeyAliases>;
  /** Absent where no backend reports changes of tag versions: then none can be known to be current. */
  readonly known: KnownVersions | undefined;
  readonly remote: EntryTier | undefined;
}

function openTiers({ plan: { options, backend }, root, clock, events, tags, trust }: Base, later: Later): Tiers {
  if (backend === undefined) return { reporting: [], aliases: new Map(), known: undefined, remote: undefined };
  const reporting = coherent(backend);
  const aliases = new Map(
    reporting.flatMap((each): readonly (readonly [Backend, KeyAliases])[] => {
      const { alias } = each;
      if (alias === undefined) return [];
      const forget = (key: string): void => later.changes.forgotten(key);
      return [[each, new KeyAliases((key) => alias.call(each, key), forget)]];
    }),
  );
  const issuer = versionsOf(backend);
  const known =
    issuer.coherence === undefined || reporting.length === 0
      ? undefined
      : new KnownVersions(trust, clock, () => tags.forgotten(), aliases.get(issuer));
  const remote = entryTier(backend, {
    clock,
    events,
    cache: options.name,
    root,
    table: known,
    aliases,
    used: (each) => void later.subscriptions.get(each)?.start(),
  });
  return { reporting, aliases, known, remote };
}

function keyParts(backend: Backend, root: KeySpace): KeyParts | undefined {
  // Where it throws its tier reports it.
  const parts = backend.parts && steadyParts(backend.parts);
  return (
    parts && {
      names: () => parts.names(),
      of: (localKey) => parts.of(backendKeyOf(root, localKey)),
      ofVersions: () => parts.of(root.tagPrefixes[0]!),
    }
  );
}

function contextOf(base: Base, later: Later, { reporting, known, remote }: Omit<Tiers, "aliases">): EngineContext {
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
  const reissueWindows = reporting.map(({ coherence }) => coherence.reissueWindowMs ?? REISSUE_WINDOW_MS);
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
        reissueWindowMs: Math.max(0, ...reissueWindows),
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
const REISSUE_WINDOW_MS = 30_000;
