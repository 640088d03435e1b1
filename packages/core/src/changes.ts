import type { Aliases } from "./aliases.ts";
import type { Heard } from "./coherence.ts";
import type { Core } from "./core.ts";
import type { EntryTier } from "./entry-tier.ts";
import { localKeyOf, tagKeyOf, type Place } from "./key.ts";
import type { TagTable } from "./tag-table.ts";

/** What is said of the backend that changes are heard from. */
export interface ChangesOf {
  readonly core: Core;
  readonly root: Place;
  readonly table: TagTable;
  readonly remote: EntryTier;
  /** What coherence calls a key, where that cannot be turned back. */
  readonly aliases: Aliases | undefined;
}

/**
 * What a cache does when something changes elsewhere. Messages are a set and no log: they say that something may have
 * changed, never what it is now, and nothing depends on their order or number.
 *
 * A key: the copy goes, what is in flight for it is broken, whoever waits for it looks again. A tag: its version is
 * forgotten, and nobody joins what was in flight in its namespace; who loads under a version that is gone lets others
 * load at once.
 */
export class Changes {
  readonly #of: ChangesOf;
  readonly #changedTags = new Set<string>();
  #isComparing = false;

  constructor(of: ChangesOf) {
    this.#of = of;
  }

  /** What one backend is told to call. @param report told whether changes are heard from it. */
  of(report: (isHearing: boolean, error?: unknown) => void): Heard {
    const { core } = this.#of;
    return {
      changed: (keys) => this.#changed(keys),
      tagsChanged: (tags) => this.#tagsChanged(tags),
      everythingChanged: () => {
        this.#of.table.clear();
        core.flights.wakeAll();
      },
      attached: () => {
        report(true);
        if (core.recovery !== undefined && core.recovery.size !== 0) void core.recovery.replay();
      },
      detached: (error) => report(false, error),
      replaced: () => core.recovery?.reissue(),
    };
  }

  /** Messages about this key will not be understood any more. */
  forgotten(key: string): void {
    this.#changed([key], (each) => each);
  }

  #changed(keys: readonly string[], keyOf = (key: string) => this.#keyOf(key)): void {
    const { root } = this.#of;
    for (const each of keys) {
      const key = keyOf(each);
      if (key === undefined) continue;
      const tag = tagKeyOf(key);
      const at = tag === undefined ? localKeyOf(root, key) : undefined;
      if (tag !== undefined) this.#tagChanged([tag]);
      else if (at !== undefined) this.#changedAt(at, key);
    }
  }

  #tagsChanged(tags: readonly string[]): void {
    this.#tagChanged(tags.flatMap((tag) => this.#keyOf(tag) ?? []));
  }

  #keyOf(named: string): string | undefined {
    const { aliases } = this.#of;
    return aliases === undefined ? named : aliases.keyOf(named);
  }

  #tagChanged(tags: readonly string[]): void {
    const { core, table, root } = this.#of;
    const mine = tags.filter((tag) => tag.startsWith(root.tagPrefixes[0]!.slice(0, -2)));
    if (mine.length === 0) return;
    const isHeldAgainst = mine.some((tag) => table.has(tag));
    table.forget(mine);
    // Late tags are not known before the loader ends, so it is all flights of the namespace.
    if (isHeldAgainst || core.flights.size !== 0) core.tags.heard(mine);
    for (const flight of core.flights.all())
      for (const tag of mine) if (flight.lease?.pinned?.versions.has(tag) === true) this.#changedTags.add(tag);
    void this.#compare();
  }

  #changedAt(at: string, key: string): void {
    const { local, flights, events, name } = this.#of.core;
    flights.break(at);
    if (local?.tier.delete(at) === true && events.invalidate.isObserved) {
      const prefix = key.slice(0, key.indexOf("::"));
      const namespace = prefix.split(":").slice(1).map(decodeURIComponent);
      events.invalidate.emit({ cache: name, namespace, scope: "key", mode: "remove", origin: "elsewhere", key: key.slice(prefix.length + 2) });
    }
  }

  /** A message alone proves nothing: pinning a version that was missing looks the same. Asked again where another message came meanwhile. */
  async #compare(): Promise<void> {
    if (this.#isComparing) return;
    this.#isComparing = true;
    const { core, remote } = this.#of;
    try {
      while (this.#changedTags.size !== 0) {
        const tags = [...this.#changedTags];
        this.#changedTags.clear();
        const versions = await remote.versions!.read(tags);
        for (const flight of core.flights.all()) {
          const { lease } = flight;
          const isGone = tags.some((tag, i) => {
            const pinned = lease?.pinned?.versions.get(tag);
            // One that is missing is no other one: whoever issues it anew is heard.
            return pinned !== undefined && versions[i] !== undefined && versions[i].hard !== pinned.hard && !this.#changedTags.has(tag);
          });
          if (!isGone) continue;
          flight.fencedBy ??= "tags";
          lease!.release();
        }
      }
    } catch {
      // The tier has reported it. Who waits looks again, and what is stored is invalid.
      this.#changedTags.clear();
    } finally {
      this.#isComparing = false;
    }
  }
}
