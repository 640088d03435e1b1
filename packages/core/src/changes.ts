import type { Aliases } from "./aliases.ts";
import type { Heard } from "./coherence.ts";
import type { Core } from "./core.ts";
import { localKeyOf, parseLocalKey, tagKeyOf, type Place } from "./key.ts";
import type { TagTable } from "./tag-table.ts";

/** What is said of the backend that changes are heard from. */
export interface ChangesOf {
  readonly core: Core;
  readonly root: Place;
  readonly table: TagTable;
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
      else if (at !== undefined) this.#changedAt(at);
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
    for (const lease of core.leases) lease.tagsChanged(mine);
    if (core.journal !== undefined) for (const tag of mine) core.journal.note(tag.slice(0, tag.indexOf("::") + 2), "changed", `the version of ${tag}`);
  }

  #changedAt(at: string): void {
    const { local, flights, events, name, journal } = this.#of.core;
    journal?.note(at, "changed", "elsewhere, or by a script of this process");
    flights.break(at);
    if (local?.tier.delete(at) !== true || !events.invalidate.isObserved) return;
    const { path, key } = parseLocalKey(at);
    events.invalidate.emit({ cache: name, namespace: path, scope: "key", mode: "remove", origin: "elsewhere", key });
  }
}
