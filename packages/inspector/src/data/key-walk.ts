import type { Module } from "@hotset/redis-toolkit/module";
import { CACHE_KINDS, type KeyGroup, type LimitRow } from "./pages.ts";

/** Keys that one step looks at, on each primary. */
const STEP_KEYS = 20_000;
const PAGE = 1_000;
/** Keys of each page and group whose size is asked for. */
const SIZED = 10;
const MOST_SIZED = 200;
const DEADLINE_MS = 1_000;

type LockKind = "lock" | "permits" | "writer" | "readers";

export interface LockPlace {
  readonly kind: LockKind;
  readonly name: string;
  /** Inside the view. */
  readonly key: string;
  readonly fenceKey: string;
}

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
  readonly #cursors = new Map<string, string>();
  #pass = newPass();
  #last: Pass | undefined;

  constructor(module: Module) {
    this.#module = module;
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

  #kindOf(name: string): { readonly key: string; readonly kind: string; readonly owner: string; readonly id: string } {
    const { space } = this.#module;
    const key = space.outside(name);
    const [kind, owner] = kindOf(key, name, space.prefix);
    return { key, kind, owner, id: JSON.stringify([kind, owner]) };
  }

  #see(name: string, size: number): void {
    const { space } = this.#module;
    const pass = this.#pass;
    const { key, kind, owner, id } = this.#kindOf(name);
    pass.keys += 1;
    const group = pass.groups.get(id) ?? { keys: 0, sized: 0, bytes: 0 };
    if (pass.groups.size < MOST_GROUPS || pass.groups.has(id)) pass.groups.set(id, group);
    group.keys += 1;
    if (size > 0) {
      group.sized += 1;
      group.bytes += size;
    }
    if (kind === "queue") pass.queues.add(owner);
    if (kind === "limit") this.#seeLimit(key, owner);
    const lock = kind === "lock" ? lockOf(key, space.prefix) : undefined;
    if (lock !== undefined && pass.locks.size < MOST_NAMES) pass.locks.set(key, lock);
  }

  #seeLimit(key: string, owner: string): void {
    const { limits } = this.#pass;
    const limit = limits.get(owner) ?? { callers: new Set<string>(), blocked: 0 };
    if (limits.size < MOST_NAMES) limits.set(owner, limit);
    const end = key.lastIndexOf("}:");
    if (limit.callers.size < MOST_NAMES) limit.callers.add(key.slice(0, end));
    if (key.endsWith("}:block")) limit.blocked += 1;
  }
}

const MOST_GROUPS = 1_000;
const MOST_NAMES = 10_000;

/** docs/reference/toolkit-keys.md and docs/reference/redis-layout.md, "Keys". */
export function kindOf(key: string, whole: string, prefix: string): readonly [kind: string, owner: string] {
  const queue = /^queue:\{([^}]*)\}:/.exec(key)?.[1];
  if (queue !== undefined) return ["queue", nameIn(queue, prefix)];
  if (/^lock:.*\{/.test(key)) return ["lock", ""];
  const limit = /^rate_limit:([^{}]+):\{/.exec(key)?.[1];
  if (limit !== undefined) return ["limit", limit];
  if (key.startsWith("session:") || key.startsWith(`{${prefix}session:`)) return ["session", ""];
  const beside = /^([^:~]*)~(?:lease|staged|issuer):\{?(?:~([^}:]*)|([^:]*):([^:}]*))/.exec(whole);
  if (beside !== null) return [CACHE_KINDS.leases, `${beside[1]}:${beside[2] ?? beside[4]}`];
  const version = /^([^:~]*):\{~([^}]*)\}(?::[^:]+)*::/.exec(whole);
  if (version !== null) return [CACHE_KINDS.versions, `${version[1]}:${version[2]}`];
  const record = /^([^:~]+):([^:{}]+):~processes::/.exec(whole);
  if (record !== null) return [CACHE_KINDS.records, `${record[1]}:${record[2]}`];
  const entry = /^([^:~]+)(?::([^:{}]+)(?::[^:]+)*)?::./.exec(whole);
  if (entry !== null) return [CACHE_KINDS.entries, `${entry[1]}:${entry[2] ?? ""}`];
  return ["other", key.includes(":") ? key.slice(0, key.indexOf(":")) : ""];
}

const FENCES: Readonly<Record<LockKind, string>> = {
  lock: "fence:",
  permits: "permits-fence:",
  writer: "read-write-fence:",
  readers: "read-write-fence:",
};

/** Nothing for a fence. */
function lockOf(key: string, prefix: string): LockPlace | undefined {
  const parts = /^lock:(?:(permits|writer|readers):)?(\{[^}]*\}.*)$/s.exec(key);
  if (parts === null) return undefined;
  const [, form, tag = ""] = parts;
  const kind = (form ?? "lock") as LockKind;
  const name = /^\{[^}]*\}$/.test(tag) ? nameIn(tag.slice(1, -1), prefix) : tag;
  return { kind, name, key, fenceKey: `lock:${FENCES[kind]}${tag}` };
}

/** Inside of braces: below the tenant, with braces and `%` encoded. */
function nameIn(tag: string, prefix: string): string {
  const text = tag.startsWith(prefix) ? tag.slice(prefix.length) : tag;
  return text.replace(/%(25|7B|7D)/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
