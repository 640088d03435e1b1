import type { Invalidation, MemoryEntry, ProcessStart } from "@hotset/core/inspect";
import { changesText, sumOf } from "../rules/texts.ts";

/** What may be why a curve bends: a release, a clear, or a tag of many entries. */
export interface Mark {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly kind: "start" | "clear" | "tags";
  readonly text: string;
}

const UNNAMED = "another process";
/** Clocks differ. */
const NAMED_MS = 5_000;
/** As long as curves are. */
const KEPT_MS = 600_000;
/** Starts of a deployment are one mark. */
const TOGETHER_MS = 20_000;
const MOST = 20;
/** Entries that are looked at, and the share of them that makes a tag wide. */
const SAMPLED = 500;
const FEWEST = 20;
const WIDE = 0.1;
const MOST_TAGS = 1_000;

/** The tags that many entries in memory have. */
export class WideTags {
  #wide: ReadonlySet<string> = new Set();

  /** Looks at some entries. */
  look(entries: Iterable<Pick<MemoryEntry, "tags">>): void {
    const counts = new Map<string, number>();
    let seen = 0;
    for (const { tags } of entries) {
      if ((seen += 1) > SAMPLED) break;
      for (const tag of tags)
        if (counts.has(tag) || counts.size < MOST_TAGS) counts.set(tag, 1 + (counts.get(tag) ?? 0));
    }
    // Right after a tag was invalidated its entries are missing: the last look counts until there are enough again.
    if (seen < FEWEST) return;
    this.#wide = new Set([...counts].flatMap(([tag, count]) => (count >= WIDE * seen ? [tag] : [])));
  }

  has(tag: string): boolean {
    return this.#wide.has(tag);
  }
}

/** Calls of wide tags and clears, as they come. */
export class WideCalls {
  readonly #marks: Mark[] = [];

  add({ at, namespace, scope, tags = [], process, origin }: Invalidation, wide: Pick<WideTags, "has">): void {
    const named = tags.filter((tag) => wide.has(tag));
    if (scope === "key" || (scope === "tags" && named.length === 0)) return;
    const place = namespace.join(" › ");
    const by = process ?? (origin === "here" ? "this process" : UNNAMED);
    const text =
      scope === "namespace"
        ? `${place === "" ? "the cache" : place} was cleared, by ${by}`
        : `tag ${sumOf(named)}${place === "" ? "" : ` of ${place}`} was invalidated, by ${by}`;
    const last = this.#marks.at(-1);
    // The record of that process says which it was.
    const unnamed = this.#marks.findLastIndex(
      (mark) => mark.text === text.replace(by, UNNAMED) && Math.abs(at - mark.at) < NAMED_MS,
    );
    if (unnamed >= 0 && by !== UNNAMED && origin === "elsewhere") {
      this.#marks[unnamed] = { ...this.#marks[unnamed]!, text };
      return;
    }
    // A call of many tags, or of a process whose record says it again.
    if (last !== undefined && last.text === text && Math.abs(at - last.at) < 1_000) return;
    this.#marks.push({ at, kind: scope === "namespace" ? "clear" : "tags", text });
    if (this.#marks.length > 10 * MOST) this.#marks.shift();
  }

  get list(): readonly Mark[] {
    return this.#marks;
  }
}

/** All of the last ten minutes, the oldest first. */
export function marksOf(starts: readonly ProcessStart[], calls: readonly Mark[], now: number): readonly Mark[] {
  const began = starts
    .filter(({ startedAt }) => now - startedAt <= KEPT_MS)
    .toSorted((one, other) => one.startedAt - other.startedAt);
  const deployments: ProcessStart[][] = [];
  for (const start of began) {
    const last = deployments.at(-1);
    if (last !== undefined && start.startedAt - last[0]!.startedAt < TOGETHER_MS) last.push(start);
    else deployments.push([start]);
  }
  const marks = deployments.map((all): Mark => {
    const names = sumOf([...new Set(all.map(({ name }) => name))]);
    const changed = all.find((start) => start.changed.length > 0);
    return {
      at: all[0]!.startedAt,
      kind: "start",
      text: `${names} started${changed === undefined ? "" : ` with ${changesText(changed)}`}`,
    };
  });
  return [...marks, ...calls.filter(({ at }) => now - at <= KEPT_MS)]
    .toSorted((one, other) => one.at - other.at)
    .slice(-MOST);
}
