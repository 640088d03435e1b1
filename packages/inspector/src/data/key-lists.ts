import { setImmediate as turn } from "node:timers/promises";
import type { StoredPage } from "@hotset/core/inspect";
import { newId } from "@hotset/core/internal";
import { AskError } from "../ask-error.ts";
import type { KeyOrder, KeyRow, KeysAnswer } from "./pages.ts";
import type { Subject } from "./subject.ts";

export interface KeysQuestion {
  readonly source: "memory" | "backend";
  readonly search: string;
  readonly order: KeyOrder;
}

/** Entries of the local tier between two turns of the event loop: about a millisecond of work. */
const AT_ONCE = 1_000;
/** Rows that one list holds. */
export const MOST_ROWS = 200_000;
/** One step of a walk through a backend. */
const STEP_ROWS = 5_000;
const STEP_MS = 2_000;
const UNUSED_MS = 60_000;
const MOST_LISTS = 4;

interface KeyList {
  readonly order: KeyOrder;
  rows: KeyRow[];
  readonly walk: AsyncIterator<StoredPage> | undefined;
  isComplete: boolean;
  looked: number;
  about: number | null;
  usedAt: number;
}

/** Lists of keys, which pages show a part at a time. */
export class KeyLists {
  readonly #lists = new Map<string, KeyList>();

  async open(subject: Subject, question: KeysQuestion, limit: number): Promise<KeysAnswer> {
    this.#sweep();
    const list = await (question.source === "memory" ? fromMemory(subject, question) : fromBackend(subject, question));
    const id = newId();
    this.#lists.set(id, list);
    return answerOf(id, list, 0, limit);
  }

  async rows(id: string, offset: number, limit: number): Promise<KeysAnswer> {
    return answerOf(id, this.#list(id), offset, limit);
  }

  /** Continues the walk of a list that is not complete. */
  async more(id: string, limit: number): Promise<KeysAnswer> {
    const list = this.#list(id);
    await step(list);
    return answerOf(id, list, 0, limit);
  }

  #list(id: string): KeyList {
    const list = this.#lists.get(id);
    if (list === undefined) throw new AskError(404, "this list of keys is no longer kept; search again");
    list.usedAt = performance.now();
    return list;
  }

  clear(): void {
    for (const { walk } of this.#lists.values()) void walk?.return?.().catch(() => undefined);
    this.#lists.clear();
  }

  #sweep(): void {
    const oldest = [...this.#lists].toSorted(([, one], [, other]) => one.usedAt - other.usedAt);
    const tooMany = oldest.length - (MOST_LISTS - 1);
    for (const [i, [id, list]] of oldest.entries()) {
      if (i >= tooMany && performance.now() - list.usedAt < UNUSED_MS) continue;
      void list.walk?.return?.().catch(() => undefined);
      this.#lists.delete(id);
    }
  }
}

async function fromMemory({ inspection }: Subject, { search, order }: KeysQuestion): Promise<KeyList> {
  if (!inspection.canListMemory) throw new AskError(409, "this cache has no local tier whose keys can be listed");
  const rows: KeyRow[] = [];
  let looked = 0;
  let isComplete = true;
  for (const {
    namespace,
    key,
    state,
    ageMs,
    freshForMs,
    expiresInMs,
    tags,
    bytes,
    encodedBytes,
    hits,
  } of inspection.entries()) {
    looked += 1;
    if (looked % AT_ONCE === 0) await turn();
    if (!matches(search, namespace, key)) continue;
    if (rows.length >= MOST_ROWS) {
      isComplete = false;
      break;
    }
    rows.push({
      namespace,
      key,
      state,
      ageMs,
      freshForMs,
      expiresInMs,
      tags,
      bytes: bytes ?? encodedBytes ?? null,
      hits,
    });
  }
  rows.sort(ORDERS[order]);
  return { order, rows, walk: undefined, isComplete, looked, about: null, usedAt: performance.now() };
}

async function fromBackend({ inspection }: Subject, { search, order }: KeysQuestion): Promise<KeyList> {
  if (!inspection.canListBackend) throw new AskError(409, "the backend of this cache cannot list its keys");
  const walk = inspection.stored(search === "" ? {} : { search })[Symbol.asyncIterator]();
  const list: KeyList = { order, rows: [], walk, isComplete: false, looked: 0, about: null, usedAt: performance.now() };
  await step(list);
  return list;
}

async function step(list: KeyList): Promise<void> {
  if (list.isComplete || list.walk === undefined) return;
  const startedAt = performance.now();
  const before = list.rows.length;
  do {
    const { done = false, value } = await list.walk.next();
    if (done || value === undefined) {
      list.isComplete = true;
      break;
    }
    const { entries, looked, total } = value as StoredPage;
    for (const { namespace, key, freshForMs = null, expiresInMs = null, bytes = null } of entries)
      list.rows.push({ namespace, key, freshForMs, expiresInMs, bytes });
    list.looked = looked;
    list.about = total ?? null;
  } while (
    list.rows.length - before < STEP_ROWS &&
    list.rows.length < MOST_ROWS &&
    performance.now() - startedAt < STEP_MS
  );
  list.rows = unique(list.rows).toSorted(ORDERS[list.order]);
}

/** A walk may find an entry twice. */
function unique(rows: readonly KeyRow[]): KeyRow[] {
  return [...new Map(rows.map((row) => [JSON.stringify([...row.namespace, row.key]), row])).values()];
}

const matches = (search: string, namespace: readonly string[], key: string): boolean =>
  search === "" || key.includes(search) || namespace.some((name) => name.includes(search));

const byKey = (one: KeyRow, other: KeyRow): number => {
  const [a, b] = [one, other].map(({ namespace, key }) => [...namespace, key].join(":")) as [string, string];
  return a < b ? -1 : a > b ? 1 : 0;
};
const ORDERS: Readonly<Record<KeyOrder, (one: KeyRow, other: KeyRow) => number>> = {
  key: byKey,
  size: (one, other) => (other.bytes ?? -1) - (one.bytes ?? -1),
  age: (one, other) => (other.ageMs ?? -1) - (one.ageMs ?? -1),
  hits: (one, other) => (other.hits ?? -1) - (one.hits ?? -1),
  expires: (one, other) => (one.expiresInMs ?? Infinity) - (other.expiresInMs ?? Infinity) || byKey(one, other),
};

function answerOf(id: string, list: KeyList, offset: number, limit: number): KeysAnswer {
  const { rows, isComplete, looked, about } = list;
  return { list: id, total: rows.length, rows: rows.slice(offset, offset + limit), isComplete, looked, about };
}
