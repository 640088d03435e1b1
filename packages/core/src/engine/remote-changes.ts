import type { ChangeListener } from "../coherence/change-listener.ts";
import { localKeyOf, parseLocalKey, parseTagKey, tagKeyOf, type EntryKey, type KeySpace } from "../entry/key.ts";
import type { KnownVersions } from "../tags/known-versions.ts";
import type { Recovery } from "../tiers/recovery.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import type { Backoffs } from "./backoffs.ts";
import type { Copies, Reporting, Writing } from "./context.ts";
import type { Lease } from "./lease.ts";

/** The parts of a cache that a change elsewhere concerns. */
export interface RemoteChangesOf extends Reporting, Copies, Pick<Writing, "writes"> {
  readonly leases: Iterable<Lease>;
  readonly backoffs: Backoffs;
}

/** The parts of a cache that react to reports of its backend. */
export interface ChangeTargets {
  readonly tier: RemoteTier["listener"];
  readonly recovery: Recovery;
}

/**
 * Applies changes that were made elsewhere. Messages are a set, not a log: each says that something may have changed,
 * never its present value, and nothing depends on their order or number.
 *
 * When a key changes, its copy is dropped, the flights of this key are tainted, and their waiters look again. When its
 * lease changes, only the waiters look again. When a tag changes, its version is forgotten, and no later call joins the
 * flights of its namespace. A load under a version that no longer counts lets other processes load immediately.
 */
export class RemoteChanges {
  readonly #of: RemoteChangesOf;
  readonly #root: KeySpace;
  readonly #table: KnownVersions | undefined;

  /** @param table the known versions of the backend, where it reports changes of tag versions. */
  constructor(of: RemoteChangesOf, root: KeySpace, table: KnownVersions | undefined) {
    this.#of = of;
    this.#root = root;
    this.#table = table;
  }

  /** The listener for the changes of the backend. */
  listener({ tier, recovery }: ChangeTargets): ChangeListener {
    const { tags: tagEvents, flights } = this.#of;
    return {
      changed: (keys, versions) => this.#changed(keys, versions),
      leaseChanged: (keys, order = "loose") => {
        for (const key of keys) this.#leaseChanged(key, order);
      },
      tagsChanged: (tags, versions) => this.#tagsChanged(tags, versions),
      everythingChanged: (concernsVersions = true) => {
        if (concernsVersions) this.#table?.clear();
        // Copies may have been checked against versions that are forgotten now.
        if (concernsVersions) tagEvents.forgotten();
        for (const flight of flights.all()) flight.wake();
      },
      attaching: () => tier.attaching(),
      unattached: () => tier.unattached(),
      attached: () => {
        tier.attached();
        recovery.linkBack();
        void recovery.replayAfresh();
      },
      detached: (error, aliveAt) => {
        tier.detached(error, aliveAt);
        recovery.linkLost(aliveAt);
      },
      partLost: (part, error, aliveAt) => {
        tier.partLost(part, error, aliveAt);
        recovery.linkLost(aliveAt);
      },
      alive: (part, sentAt) => tier.alive(part, sentAt),
      partRegained: () => void recovery.replayAfresh(),
      allBack: () => recovery.linkBack(),
      replaced: (part) => {
        // Reads from now on have another number than those that were sent before.
        tagEvents.forgotten();
        recovery.reissue(tagEvents.sequence, part);
      },
    };
  }

  /** A pending invalidation was acknowledged: a read or write in flight may be older than it. */
  replayed(key: EntryKey): void {
    const { flights, local, backoffs } = this.#of;
    flights.fence(key.local, "delete");
    local?.drop(key.local);
    backoffs.end(key.local);
  }

  #changed(keys: readonly string[], versions?: ReadonlyMap<string, string>): void {
    for (const key of keys) {
      const tag = tagKeyOf(key);
      const localKey = tag === undefined ? localKeyOf(this.#root, key) : undefined;
      if (tag !== undefined) this.#tagsChanged([tag], versions);
      else if (localKey !== undefined) this.#dropCopy(localKey, versions?.get(key));
    }
  }

  /** The entry stays as it is: no copy is dropped. */
  #leaseChanged(key: string, order: "loose" | "exact" | "renewed"): void {
    const localKey = localKeyOf(this.#root, key);
    if (localKey !== undefined) this.#of.flights.leaseChanged(localKey, order);
  }

  #tagsChanged(tags: readonly string[], versions?: ReadonlyMap<string, string>): void {
    const { tags: tagEvents, flights, local, leases, decisions, events } = this.#of;
    const table = this.#table;
    const mine = tags.filter((tag) => tag.startsWith(this.#root.tagPrefixes[0]!.slice(0, -2)));
    if (mine.length === 0) return;
    // Own calls forgot them before they were sent; and a tag that nothing here depends on concerns no caller.
    const concerned = mine.filter((tag) => local?.hasUnversioned === true || table?.concerns(tag) === true);
    const known = table?.reported(mine, versions) ?? [];
    // One that has its reported version already has not changed.
    const concernsCopies = concerned.some((tag) => table?.has(tag) !== true);
    // Late tags are not known before the loader ends, so it is all flights of the namespace.
    if (concernsCopies || flights.size !== 0) tagEvents.changed(mine);
    for (const lease of leases) lease.tagsChanged(mine);
    if (decisions !== undefined)
      for (const tag of mine) decisions.note(tag.slice(0, tag.indexOf("::") + 2), "changed", `the version of ${tag}`);
    if (events.invalidate.isObserved) this.#reportTags(known);
  }

  /** One event for each namespace. Whether a call was hard or soft is in the version, which is not known yet. */
  #reportTags(known: readonly string[]): void {
    const { events, name: cache } = this.#of;
    const parsed = known.map((tag) => parseTagKey(this.#root, tag));
    for (const of of Map.groupBy(parsed, ({ path }) => path.join("\0")).values()) {
      const tags = of.flatMap(({ tag }) => (tag === "" ? [] : [tag]));
      const shared = { cache, namespace: of[0]!.path, mode: "remove", origin: "elsewhere" } as const;
      if (tags.length !== 0) events.invalidate.emit({ ...shared, scope: "tags", tags });
      if (tags.length !== of.length) events.invalidate.emit({ ...shared, scope: "namespace" });
    }
  }

  /** @param version of the entry after its change: a copy that has it stays. */
  #dropCopy(localKey: string, version: string | undefined): void {
    const { local, flights, events, name, decisions, writes } = this.#of;
    // The report of a change comes before its acknowledgement. One by another process in between looks the same.
    const isOwn = writes.has(localKey);
    if (decisions !== undefined) {
      // A lease on a missing entry may be kept in its place.
      const by = isOwn || flights.isLeasing(localKey) ? "by this process, or elsewhere at the same time" : "elsewhere";
      decisions.note(localKey, "changed", by);
    }
    flights.taint(localKey, version);
    if (version !== undefined && local?.hasVersion(localKey, version) === true) return;
    const isReported = !isOwn && events.invalidate.isObserved && local?.hasLiving(localKey) === true;
    local?.drop(localKey);
    if (!isReported) return;
    const { path, key } = parseLocalKey(localKey);
    events.invalidate.emit({ cache: name, namespace: path, scope: "key", mode: "remove", origin: "elsewhere", key });
  }
}
