import type { LocalEntry } from "@hotset/core";
import type { Bounds, Entries, Gone } from "./entries.ts";

/** Both ends of the ring, and the end of the free slots: it holds nothing. */
const HEAD = 0;
/** Their number doubles whenever more are needed. */
const FIRST_SLOTS = 64;

/**
 * Entries evicted by how recently they were used. Each has a slot, and slots are a ring in the order of use:
 *
 *     HEAD ─newer─▶ oldest ─newer─▶ … ─newer─▶ youngest ─newer─▶ HEAD
 *
 * In arrays of numbers: to write to an object that outlived collections costs more, and a hit writes to four places.
 */
export class LruEntries implements Entries {
  readonly #bounds: Bounds;
  readonly #gone: Gone;
  #slots = new Map<string, number>();
  #keys: string[] = [];
  #entries: (LocalEntry | undefined)[] = [];
  #sizes: number[] = [];
  #newer = new Uint32Array(FIRST_SLOTS);
  #older = new Uint32Array(FIRST_SLOTS);
  /** Slots below this one were used. Those that are free are linked by `#newer`. */
  #end = HEAD + 1;
  #free = HEAD;
  #bytes = 0;

  constructor(bounds: Bounds, gone: Gone) {
    this.#bounds = bounds;
    this.#gone = gone;
  }

  get count(): number {
    return this.#slots.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): LocalEntry | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    if (this.#older[HEAD] !== slot) {
      this.#unlink(slot);
      this.#link(slot);
    }
    return this.#entries[slot];
  }

  peek(key: string): LocalEntry | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined ? undefined : this.#entries[slot];
  }

  set(key: string, entry: LocalEntry, size: number): void {
    const present = this.#slots.get(key);
    const old = present === undefined ? undefined : this.#entries[present];
    // In no list, so it does not make room for itself.
    if (present !== undefined) this.#takeOut(present);
    else if (this.#slots.size === this.#bounds.maxEntries) this.#evict("entries");
    while (this.#bytes + size > this.#bounds.maxBytes) this.#evict("bytes");
    const slot = present ?? this.#take(key);
    this.#entries[slot] = entry;
    this.#sizes[slot] = size;
    this.#bytes += size;
    this.#link(slot);
    if (old !== undefined) this.#gone(old, key, undefined);
  }

  delete(key: string): boolean {
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    this.#drop(slot, undefined);
    return true;
  }

  keys(): readonly string[] {
    return [...this.#slots.keys()];
  }

  sizeOf(key: string): number | undefined {
    const slot = this.#slots.get(key);
    // 0 where bytes do not count: a size is at least 1.
    return slot === undefined ? undefined : this.#sizes[slot] || undefined;
  }

  clear(): void {
    this.#slots = new Map();
    this.#keys = [];
    this.#entries = [];
    this.#sizes = [];
    this.#newer = new Uint32Array(FIRST_SLOTS);
    this.#older = new Uint32Array(FIRST_SLOTS);
    this.#end = HEAD + 1;
    this.#free = HEAD;
    this.#bytes = 0;
  }

  #evict(bound: "entries" | "bytes"): void {
    this.#drop(this.#newer[HEAD]!, bound);
  }

  #drop(slot: number, evictedFor: "entries" | "bytes" | undefined): void {
    const key = this.#keys[slot]!;
    const entry = this.#entries[slot]!;
    this.#takeOut(slot);
    this.#keys[slot] = "";
    this.#entries[slot] = undefined;
    this.#newer[slot] = this.#free;
    this.#free = slot;
    this.#slots.delete(key);
    this.#gone(entry, key, evictedFor);
  }

  #takeOut(slot: number): void {
    this.#unlink(slot);
    this.#bytes -= this.#sizes[slot]!;
  }

  #take(key: string): number {
    const slot = this.#free === HEAD ? this.#end : this.#free;
    if (slot !== this.#end) this.#free = this.#newer[slot]!;
    else if (++this.#end > this.#newer.length) {
      this.#newer = doubled(this.#newer);
      this.#older = doubled(this.#older);
    }
    this.#slots.set(key, slot);
    this.#keys[slot] = key;
    return slot;
  }

  /** As the youngest. */
  #link(slot: number): void {
    const youngest = this.#older[HEAD]!;
    this.#newer[youngest] = slot;
    this.#older[slot] = youngest;
    this.#newer[slot] = HEAD;
    this.#older[HEAD] = slot;
  }

  #unlink(slot: number): void {
    const older = this.#older[slot]!;
    const newer = this.#newer[slot]!;
    this.#newer[older] = newer;
    this.#older[newer] = older;
  }
}

function doubled(slots: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const more = new Uint32Array(2 * slots.length);
  more.set(slots);
  return more;
}
