import type { KeyAliases } from "../coherence/key-aliases.ts";
import type { Backend } from "../contracts/backend.ts";
import type { Heard } from "../coherence/change-subscription.ts";
import type { EngineContext } from "./context.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";
import { localKeyOf, parseLocalKey, tagKeyOf, type KeySpace } from "../entry/key.ts";
import type { KnownVersions } from "../tags/known-versions.ts";

/** What is said of the backend that changes are heard from. */
export interface ChangesOf {
  readonly context: EngineContext;
  readonly root: KeySpace;
  /** Where the changes of tag versions are heard. */
  readonly table: KnownVersions | undefined;
  readonly remote: EntryTier;
  /** What the coherence of a backend calls a key, where that cannot be turned back. */
  readonly aliases: ReadonlyMap<Backend, KeyAliases>;
}

/**
 * What a cache does when something changes elsewhere. Messages are a set and no log: they say that something may have
 * changed, never what it is now, and nothing depends on their order or number.
 *
 * A key: the copy goes, what is in flight for it is broken, whoever waits for it looks again. A tag: its version is
 * forgotten, and nobody joins what was in flight in its namespace; who loads under a version that is gone lets others
 * load at once.
 */
export class RemoteChanges {
  readonly #of: ChangesOf;

  constructor(of: ChangesOf) {
    this.#of = of;
  }

  /** What one backend is told to call. */
  of(backend: Backend): Heard {
    const { context, remote, table, aliases } = this.#of;
    const named = aliases.get(backend);
    return {
      changed: (keys) =>
        this.#changed(backend, named === undefined ? keys : keys.flatMap((name) => named.keyOf(name) ?? [])),
      tagsChanged: (tags) =>
        this.#tagsChanged(
          backend,
          named === undefined ? tags : tags.map((name) => named.keyOf(name) ?? this.#unnamed(name)),
        ),
      everythingChanged: () => {
        table?.clear();
        // Copies may have been held against what is not known any more.
        context.tags.forgotten();
        remote.heard(backend, { what: "everything changed" });
        context.flights.wakeAll();
      },
      attached: () => {
        remote.heard(backend, { what: "attached" });
        if (context.recovery !== undefined && context.recovery.size !== 0) void context.recovery.replay();
      },
      detached: (error) => remote.heard(backend, { what: "detached", error }),
      replaced: () => context.recovery?.reissue(),
    };
  }

  /** A tag that was never asked for here, and that a loader under way may add yet: some tag of its namespace, or of the root where its alias does not tell. */
  #unnamed(alias: string): string {
    return alias.startsWith("{~") && alias.includes("::") ? alias : this.#of.root.tagPrefixes[0]! + alias;
  }

  /** Messages of this backend about this key will not be understood any more. */
  forgotten(backend: Backend, key: string): void {
    this.#changed(backend, [key]);
  }

  #changed(backend: Backend, keys: readonly string[]): void {
    const { root, remote } = this.#of;
    for (const key of keys) {
      const tag = tagKeyOf(key);
      const at = tag === undefined ? localKeyOf(root, key) : undefined;
      if (tag !== undefined) this.#tagsChanged(backend, [tag]);
      else if (at !== undefined) {
        // Before whoever waits for the key is woken, and looks again.
        remote.heard(backend, { what: "changed", key });
        this.#changedAt(at);
      }
    }
  }

  #tagsChanged(backend: Backend, tags: readonly string[]): void {
    const { context, table, remote, root } = this.#of;
    const mine = tags.filter((tag) => tag.startsWith(root.tagPrefixes[0]!.slice(0, -2)));
    if (mine.length === 0) return;
    const isHeldAgainst = table !== undefined && mine.some((tag) => table.has(tag));
    table?.forget(mine);
    remote.heard(backend, { what: "tags changed", tags: mine });
    // Late tags are not known before the loader ends, so it is all flights of the namespace.
    if (isHeldAgainst || context.flights.size !== 0) context.tags.heard(mine);
    for (const lease of context.leases) lease.tagsChanged(mine);
    if (context.decisions !== undefined)
      for (const tag of mine)
        context.decisions.note(tag.slice(0, tag.indexOf("::") + 2), "changed", `the version of ${tag}`);
  }

  #changedAt(at: string): void {
    const { local, flights, events, name, decisions } = this.#of.context;
    decisions?.note(at, "changed", "elsewhere, or by a script of this process");
    flights.taint(at);
    if (local?.tier.delete(at) !== true || !events.invalidate.isObserved) return;
    const { path, key } = parseLocalKey(at);
    events.invalidate.emit({ cache: name, namespace: path, scope: "key", mode: "remove", origin: "elsewhere", key });
  }
}
