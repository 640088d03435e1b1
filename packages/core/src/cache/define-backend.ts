import { ChangeSubscription } from "../coherence/change-subscription.ts";
import { BackendParts } from "../coherence/parts.ts";
import { Trust, TRUST_ALWAYS } from "../coherence/trust.ts";
import type { Backend, Coherence } from "../contracts/capabilities.ts";
import { FarFences } from "../engine/far-fences.ts";
import { leasesAmong } from "../engine/lease.ts";
import { RemoteChanges } from "../engine/remote-changes.ts";
import { backendKeyOf, type KeySpace } from "../entry/key.ts";
import { KnownVersions } from "../tags/known-versions.ts";
import { Recovery } from "../tiers/recovery.ts";
import { RemoteTier } from "../tiers/remote-tier.ts";
import { bring, type Opening, type OpeningOf } from "./assemble.ts";
import { warnOfLostDeletes } from "./backend-promises.ts";

/**
 * Returns `backend` as it is, and brings along what a cache needs for one: a program whose caches are in memory alone
 * has none of that in its bundle. Wrap a backend of yours in it; those of hotset are. Throws nothing: `build` checks
 * the backend.
 */
export function defineBackend<B extends Backend>(backend: B): B {
  bring(openBackend);
  return backend;
}

function openBackend(backend: Backend, { root, clock, tags, warn }: OpeningOf): Opening {
  warnOfLostDeletes(backend, (text) => warn("NO_LEASES", text));
  const parts = new BackendParts(backend.parts);
  const coherence = typeof backend.coherence === "object" ? backend.coherence : undefined;
  const trust = coherence && trustIn(coherence, parts, root);
  const table = new KnownVersions(trust, clock, () => tags.forgotten());
  const known = trust && table;
  return {
    trust: trust ?? TRUST_ALWAYS,
    known,
    attach(shared) {
      const { name: cache, events, local } = shared;
      const changes = new RemoteChanges(shared, root, known);
      const remote = new RemoteTier(backend, clock, events, cache, { parts, table, tags, trust, copies: local });
      const recovery = new Recovery({
        remote,
        clock,
        events,
        cache,
        root,
        replayed: {
          key: (key) => changes.replayed(key),
          tags: (space, keys) => tags.acknowledged(space, keys, "hard"),
        },
        reissueWindowMs: coherence === undefined ? 0 : (coherence.reissueWindowMs ?? REISSUE_WINDOW_MS),
      });
      const own = { remote, recovery, newLease: leasesAmong(shared.leases, shared), farFences: new FarFences(shared) };
      if (coherence === undefined || trust === undefined) return { ...own, subscription: undefined };
      const listener = changes.listener({ tier: remote.listener, recovery });
      const subscription = new ChangeSubscription(coherence, clock, trust, listener, shared.local !== undefined);
      remote.onFirstCall(() => void subscription.start());
      return { ...own, subscription };
    },
  };
}

function trustIn({ maxStalenessMs = MAX_STALENESS_MS }: Coherence, parts: BackendParts, root: KeySpace): Trust {
  const backendKey = (localKey: string): string => backendKeyOf(root, localKey);
  return new Trust({ parts, maxStalenessMs, backendKey, versionsKey: root.tagPrefixes[0]! });
}

const MAX_STALENESS_MS = 2_000;
const REISSUE_WINDOW_MS = 30_000;
