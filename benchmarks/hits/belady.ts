import type { Trace } from "./traces.ts";

/**
 * Hits of the best that any policy can do with `capacity` entries of equal size, which sees the future: it evicts the
 * entry that is used again last, or does not keep the new one if that is it.
 *
 * @see L. A. Belady, A Study of Replacement Algorithms for a Virtual-Storage Computer (1966)
 */
export function hitsOfBelady({ accesses, keyCount }: Trace, capacity: number): number {
  const nextUse = nextUses(accesses, keyCount);
  const NEVER = accesses.length;
  /** The instant of the next use of each key that is held; 0 for other keys. */
  const heldUntil = new Float64Array(keyCount);
  const latest = new Latest();
  let held = 0;
  let hits = 0;
  for (let i = 0; i < accesses.length; i += 1) {
    const key = accesses[i]!;
    const isHit = heldUntil[key] !== 0;
    if (isHit) {
      hits += 1;
      held -= 1;
      heldUntil[key] = 0;
    }
    const next = nextUse[i]!;
    if (next === NEVER) continue;
    if (held === capacity) {
      // Instants of keys that were used meanwhile are past, so they are never the latest.
      const last = latest.top();
      if (last <= next) continue;
      latest.pop();
      heldUntil[accesses[last]!] = 0;
      held -= 1;
    }
    heldUntil[key] = next;
    latest.push(next);
    held += 1;
  }
  return hits;
}

/** For each access the instant at which its key is used again. */
function nextUses(accesses: Uint32Array, keyCount: number): Uint32Array {
  const next = new Uint32Array(accesses.length);
  const seen = new Uint32Array(keyCount).fill(accesses.length);
  for (let i = accesses.length - 1; i >= 0; i -= 1) {
    next[i] = seen[accesses[i]!]!;
    seen[accesses[i]!] = i;
  }
  return next;
}

/** A binary heap, the largest number at its top. */
class Latest {
  readonly #heap: number[] = [];

  top(): number {
    return this.#heap[0]!;
  }

  push(instant: number): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(instant);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! >= instant) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = instant;
  }

  pop(): void {
    const heap = this.#heap;
    const moved = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]! > heap[child]!) child += 1;
      if (heap[child]! <= moved) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moved;
  }
}
