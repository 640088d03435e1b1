import type { KnownKey, LockPlace } from "@hotset/redis-toolkit/inspect";
import type { Module } from "@hotset/redis-toolkit/module";
import { CACHE_KINDS, type KeyGroup, type LimitRow } from "./pages.ts";

/** Typed here and loaded elsewhere: the package is installed only if a toolkit is given. */
export type KeyKnowledge = Pick<typeof import("@hotset/redis-toolkit/inspect"), "knownKey" | "lockPlace" | "limitKey">;

/** Keys that one step looks at, on each primary. */
const STEP_KEYS = 20_000;
const PAGE = 1_000;
/** Keys of each page and group whose size is asked for. */
const SIZED = 10;
const MOST_SIZED = 200;
const DEADLINE_MS = 1_000;

/** The owners of the keys of a view, by the last pass through all of them, and the one that runs. */
export interface Seen {
  readonly queues: readonly string[];
  readonly locks: readonly LockPlace[];
  readonly limits: readonly LimitRow[];
  readonly groups: readonly KeyGroup[];
  /** Keys of the last whole pass; of what was seen until now before its end. */
  readonly keys: number;
  readonly isComplete: boolean;
}

interface Pass {
  readonly queues: Set<string>;
  readonly locks: Map<string, LockPlace>;
  readonly limits: Map<string, { callers: Set<string>; blocked: number }>;
  readonly groups: Map<string, { keys: number; sized: number; bytes: number }>;
  keys: number;
}

const newPass = (): Pass => ({ queues: new Set(), locks: new Map(), limits: new Map(), groups: new Map(), keys: 0 });

/** Walks through the keys of a view, a step at a time, again and again: `SCAN`, and the sizes of a sample. */
export class KeyWalk {
  readonly #module: Module;
  readonly #known: KeyKnowledge;
  readonly #cursors = new Map<string, string>();
  #pass = newPass();
  #last: Pass | undefined;

  constructor(module: Module, known: KeyKnowledge) {
    this.#module = module;
    this.#known = known;
  }

  /** @throws the error of `SCAN` */
  async step(): Promise<Seen> {
    const { connection, space } = this.#module;
    const match = space.pattern("*");
    const ends = await connection.each(async (primary) => {
      let cursor = this.#cursors.get(primary.address) ?? "0";
      // It has ended, and waits for the others.
      if (cursor === "end") return true;
      for (let looked = 0; looked < STEP_KEYS; looked += PAGE) {
        const asked = ["SCAN", cursor, "MATCH", match, "COUNT", String(PAGE)];
        const reply = await primary.call(asked, { isReadOnly: true, deadlineMs: DEADLINE_MS });
        const [next, names] = reply as readonly [Buffer, readonly Buffer[]];
        const sampled = this.#sampleOf(names);
        const sizes = await primary.burst(
          sampled.map((name) => ["MEMORY", "USAGE", name]),
          { deadlineMs: DEADLINE_MS },
        );
        const sizeOf = new Map(sampled.map((name, i) => [name, Number(sizes[i])]));
        for (const name of names) this.#see(String(name), sizeOf.get(name) ?? Number.NaN);
        cursor = String(next) === "0" ? "end" : String(next);
        this.#cursors.set(primary.address, cursor);
        if (cursor === "end") return true;
      }
      return false;
    });
    if (ends.every(Boolean)) {
      this.#last = this.#pass;
      this.#pass = newPass();
      this.#cursors.clear();
    }
    return this.#seen();
  }

  #seen(): Seen {
    const passes = this.#last === undefined ? [this.#pass] : [this.#last, this.#pass];
    // The whole pass has the figures; what is new since then has names.
    const [whole] = passes as [Pass];
    return {
      queues: [...new Set(passes.flatMap(({ queues }) => [...queues]))].toSorted(),
      locks: [...new Map(passes.flatMap(({ locks }) => [...locks])).values()],
      limits: [...whole.limits]
        .map(([name, { callers, blocked }]) => ({ name, callers: callers.size, blocked }))
        .toSorted((one, other) => other.callers - one.callers),
      groups: [...whole.groups]
        .map(([name, { keys, sized, bytes }]): KeyGroup => {
          const [kind, owner] = JSON.parse(name) as [string, string];
          return { kind, owner, keys, bytes: sized === 0 ? null : Math.round((bytes / sized) * keys) };
        })
        .toSorted((one, other) => (other.bytes ?? 0) - (one.bytes ?? 0) || other.keys - one.keys),
      keys: whole.keys,
      isComplete: this.#last !== undefined,
    };
  }

  /** The first ones of each group: a small group has a size, too. */
  #sampleOf(names: readonly Buffer[]): readonly Buffer[] {
    const taken = new Map<string, number>();
    const sampled = names.filter((name) => {
      const { id } = this.#kindOf(String(name));
      taken.set(id, (taken.get(id) ?? 0) + 1);
      return taken.get(id)! <= SIZED;
    });
    return sampled.slice(0, MOST_SIZED);
  }

  #kindOf(name: string): Kind & { readonly id: string } {
    const kind = kindOf(this.#known.knownKey(name), name, this.#module.space.prefix);
    return { ...kind, id: JSON.stringify([kind.kind, kind.owner]) };
  }

  #see(name: string, size: number): void {
    const pass = this.#pass;
    const { owner, module, id } = this.#kindOf(name);
    pass.keys += 1;
    const group = pass.groups.get(id) ?? { keys: 0, sized: 0, bytes: 0 };
    if (pass.groups.size < MOST_GROUPS || pass.groups.has(id)) pass.groups.set(id, group);
    group.keys += 1;
    if (size > 0) {
      group.sized += 1;
      group.bytes += size;
    }
    if (module === "queue") pass.queues.add(owner);
    if (module === "rate-limit") this.#seeLimit(name, owner);
    const lock = module === "lock" ? this.#known.lockPlace(name) : undefined;
    if (lock !== undefined && pass.locks.size < MOST_NAMES) pass.locks.set(name, lock);
  }

  #seeLimit(name: string, owner: string): void {
    const { key = name, rule } = this.#known.limitKey(name) ?? {};
    const { limits } = this.#pass;
    const limit = limits.get(owner) ?? { callers: new Set<string>(), blocked: 0 };
    if (limits.size < MOST_NAMES) limits.set(owner, limit);
    if (limit.callers.size < MOST_NAMES) limit.callers.add(key);
    if (rule === "block") limit.blocked += 1;
  }
}

const MOST_GROUPS = 1_000;
const MOST_NAMES = 10_000;

interface Kind {
  readonly kind: string;
  readonly owner: string;
  /** The part of hotset that has the key in this view; absent for keys of other programs and of other tenants. */
  readonly module?: KnownKey["module"];
}

/** @param prefix of the view. */
export function kindOf(known: KnownKey | undefined, name: string, prefix: string): Kind {
  if (known?.module === "cache") return { kind: OF_CACHE[known.part ?? "entry"], owner: known.owner };
  if (known?.tenant === prefix) return { kind: known.module, owner: known.owner, module: known.module };
  const key = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  return { kind: "other", owner: key.includes(":") ? key.slice(0, key.indexOf(":")) : "" };
}

const OF_CACHE = {
  entry: CACHE_KINDS.entries,
  record: CACHE_KINDS.records,
  version: CACHE_KINDS.versions,
  ...{ lease: CACHE_KINDS.leases, staged: CACHE_KINDS.leases, issuer: CACHE_KINDS.leases },
} as const;
