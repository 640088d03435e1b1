/**
 * Policies of other caches, as their papers give them, over numbers of keys: to compare hit ratios, and for nothing else.
 * Each call says whether the access was a hit, and admits the key if it was not.
 */
export type Policy = (capacity: number) => (key: number) => boolean;

/** SIEVE (Zhang and others, NSDI 2024): one queue in the order of insertion, and a hand that spares what was used. */
export const sieve: Policy = (capacity) => {
  const queue = new Queue();
  const visited = new Set<number>();
  let hand: number | undefined;
  return (key) => {
    if (queue.has(key)) {
      visited.add(key);
      return true;
    }
    if (queue.size >= capacity) {
      let victim = hand ?? queue.oldest!;
      while (visited.delete(victim)) victim = queue.newerThan(victim) ?? queue.oldest!;
      hand = queue.newerThan(victim);
      queue.delete(victim);
    }
    queue.add(key);
    return false;
  };
};

/** S3-FIFO (Yang and others, SOSP 2023): a small queue of a tenth, a main one, and the keys that left the small one. */
export const s3Fifo: Policy = (capacity) => {
  const smallest = Math.max(1, Math.round(capacity / 10));
  const [small, main, ghosts] = [new Set<number>(), new Set<number>(), new Set<number>()];
  const uses = new Map<number, number>();
  const evictMain = (): void => {
    for (const key of main) {
      main.delete(key);
      const used = uses.get(key) ?? 0;
      if (used === 0) return void uses.delete(key);
      uses.set(key, used - 1);
      main.add(key);
    }
  };
  const evictSmall = (): void => {
    for (const key of small) {
      small.delete(key);
      if ((uses.get(key) ?? 0) > 1) {
        uses.set(key, 0);
        main.add(key);
        if (small.size + main.size > capacity - 1 && main.size > capacity - smallest) evictMain();
        continue;
      }
      uses.delete(key);
      ghosts.add(key);
      if (ghosts.size > capacity - smallest) ghosts.delete(first(ghosts)!);
      return;
    }
  };
  return (key) => {
    if (small.has(key) || main.has(key)) {
      uses.set(key, Math.min(3, (uses.get(key) ?? 0) + 1));
      return true;
    }
    while (small.size + main.size >= capacity) {
      if (small.size >= smallest || main.size === 0) evictSmall();
      else evictMain();
    }
    (ghosts.delete(key) ? main : small).add(key);
    return false;
  };
};

/**
 * W-TinyLFU (Einziger and others, 2017) as Caffeine begins with it: a window of a hundredth, a main part of which four
 * fifths are protected, and admission by frequency. Its counters are exact here, up to 15, and halved every ten times
 * the capacity: no sketch errs more kindly.
 */
export const wTinyLfu: Policy = (capacity) => {
  const windowSize = Math.max(1, Math.round(capacity / 100));
  const mainSize = capacity - windowSize;
  const protectedSize = Math.floor(mainSize * 0.8);
  const [window, probation, guarded] = [new Set<number>(), new Set<number>(), new Set<number>()];
  let counts = new Map<number, number>();
  let seen = 0;
  const count = (key: number): void => {
    counts.set(key, Math.min(15, (counts.get(key) ?? 0) + 1));
    seen += 1;
    if (seen < 10 * capacity) return;
    seen = 0;
    counts = new Map([...counts].filter(([, times]) => times > 1).map(([each, times]) => [each, times >> 1]));
  };
  const touch = (queue: Set<number>, key: number): void => {
    queue.delete(key);
    queue.add(key);
  };
  const admit = (candidate: number): void => {
    if (mainSize === 0) return;
    if (probation.size + guarded.size < mainSize) return void probation.add(candidate);
    const victim = first(probation) ?? first(guarded)!;
    if ((counts.get(candidate) ?? 0) <= (counts.get(victim) ?? 0)) return;
    if (!probation.delete(victim)) guarded.delete(victim);
    probation.add(candidate);
  };
  return (key) => {
    count(key);
    if (window.has(key)) return (touch(window, key), true);
    if (guarded.has(key)) return (touch(guarded, key), true);
    if (probation.delete(key)) {
      guarded.add(key);
      if (guarded.size > protectedSize) {
        const demoted = first(guarded)!;
        guarded.delete(demoted);
        probation.add(demoted);
      }
      return true;
    }
    window.add(key);
    if (window.size > windowSize) {
      const candidate = first(window)!;
      window.delete(candidate);
      admit(candidate);
    }
    return false;
  };
};

/** ARC (Megiddo and Modha, FAST 2003): recent and frequent entries, whose shares follow the keys that left each. */
export const arc: Policy = (capacity) => {
  const [recent, frequent] = [new Set<number>(), new Set<number>()];
  const [leftRecent, leftFrequent] = [new Set<number>(), new Set<number>()];
  let target = 0;
  const replace = (isInLeftFrequent: boolean): void => {
    const isOver = recent.size > target || (isInLeftFrequent && recent.size === target);
    const [from, to] =
      recent.size > 0 && (isOver || frequent.size === 0) ? [recent, leftRecent] : [frequent, leftFrequent];
    const victim = first(from)!;
    from.delete(victim);
    to.add(victim);
  };
  return (key) => {
    if (recent.delete(key) || frequent.delete(key)) {
      frequent.add(key);
      return true;
    }
    if (leftRecent.has(key)) {
      target = Math.min(capacity, target + Math.max(1, leftFrequent.size / leftRecent.size));
      replace(false);
      leftRecent.delete(key);
      frequent.add(key);
      return false;
    }
    if (leftFrequent.has(key)) {
      target = Math.max(0, target - Math.max(1, leftRecent.size / leftFrequent.size));
      replace(true);
      leftFrequent.delete(key);
      frequent.add(key);
      return false;
    }
    const recents = recent.size + leftRecent.size;
    const all = recents + frequent.size + leftFrequent.size;
    if (recents === capacity) {
      if (recent.size < capacity) {
        leftRecent.delete(first(leftRecent)!);
        replace(false);
      } else recent.delete(first(recent)!);
    } else if (all >= capacity) {
      if (all === 2 * capacity) leftFrequent.delete(first(leftFrequent)!);
      replace(false);
    }
    recent.add(key);
    return false;
  };
};

export const POLICIES: Readonly<Record<string, Policy>> = {
  SIEVE: sieve,
  "S3-FIFO": s3Fifo,
  "W-TinyLFU": wTinyLfu,
  ARC: arc,
};

const first = (set: ReadonlySet<number>): number | undefined => set.values().next().value;

/** In the order of insertion, with the neighbour of each key. */
class Queue {
  readonly #newer = new Map<number, number | undefined>();
  readonly #older = new Map<number, number | undefined>();
  #newest: number | undefined;
  oldest: number | undefined;

  get size(): number {
    return this.#newer.size;
  }

  has(key: number): boolean {
    return this.#newer.has(key);
  }

  newerThan(key: number): number | undefined {
    return this.#newer.get(key);
  }

  add(key: number): void {
    this.#older.set(key, this.#newest);
    this.#newer.set(key, undefined);
    if (this.#newest !== undefined) this.#newer.set(this.#newest, key);
    this.#newest = key;
    this.oldest ??= key;
  }

  delete(key: number): void {
    const [newer, older] = [this.#newer.get(key), this.#older.get(key)];
    if (newer === undefined) this.#newest = older;
    else this.#older.set(newer, older);
    if (older === undefined) this.oldest = newer;
    else this.#newer.set(older, newer);
    this.#newer.delete(key);
    this.#older.delete(key);
  }
}
