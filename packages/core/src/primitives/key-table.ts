/** What a {@link KeyTable} holds. A node is in one table at a time. */
export class KeyNode {
  /** The key it was added under. */
  at = "";
  hash = 0;
  next: KeyNode | undefined;
}

/**
 * What is under way, by key: many nodes come and go, few are there at a time, several may share a key.
 *
 * Not a `Map`: one that is filled and emptied all the time makes a new table every few dozen keys, and each old one, once
 * it has outlived two collections, keeps the next alive with all that it held. Backend hits took 4.7 µs of processor time
 * so, of which 1.4 went into copying what was long over.
 *
 * Hashed with a seed of this process, so that nobody who chooses keys can choose collisions.
 */
export class KeyTable<T extends KeyNode> {
  #buckets: (KeyNode | undefined)[] = emptyBuckets(256);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Before those that are there under this key. */
  add(at: string, node: T): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    node.at = at;
    node.hash = hashOf(at);
    this.#insert(node);
    this.#size += 1;
  }

  /** Does nothing where it is not there. */
  remove(node: T): void {
    const index = node.hash & (this.#buckets.length - 1);
    let before: KeyNode | undefined;
    for (let each = this.#buckets[index]; each !== undefined; before = each, each = each.next) {
      if (each !== node) continue;
      if (before === undefined) this.#buckets[index] = each.next;
      else before.next = each.next;
      node.next = undefined;
      this.#size -= 1;
      return;
    }
  }

  /** The last that was added under this key. */
  first(at: string): T | undefined {
    const hash = hashOf(at);
    return this.#find(this.#buckets[hash & (this.#buckets.length - 1)], at, hash);
  }

  /** The one of the same key that was added before `node`. */
  after(node: T): T | undefined {
    return this.#find(node.next, node.at, node.hash);
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const head of this.#buckets) for (let each = head; each !== undefined; each = each.next) yield each as T;
  }

  #find(node: KeyNode | undefined, at: string, hash: number): T | undefined {
    for (let each = node; each !== undefined; each = each.next)
      if (each.hash === hash && each.at === at) return each as T;
    return undefined;
  }

  #insert(node: KeyNode): void {
    const index = node.hash & (this.#buckets.length - 1);
    node.next = this.#buckets[index];
    this.#buckets[index] = node;
  }

  #grow(): void {
    // From the oldest on, since each is put before those that are there.
    const nodes = [...this].toReversed();
    this.#buckets = emptyBuckets(this.#buckets.length * 4);
    for (const node of nodes) this.#insert(node);
  }
}

const emptyBuckets = (length: number): (KeyNode | undefined)[] => Array.from({ length });

const SEED = Math.trunc(Math.random() * 2 ** 32);
/** Of a longer key, so many characters at its start and twice as many at its end. */
const SAMPLED = 32;

/** FNV-1a over UTF-16 units, with its high bits folded in. */
function hashOf(at: string): number {
  let hash = SEED;
  const { length } = at;
  const isLong = length > 3 * SAMPLED;
  const head = isLong ? SAMPLED : length;
  for (let i = 0; i < head; i += 1) hash = Math.imul(hash ^ at.charCodeAt(i), 16_777_619);
  if (isLong)
    for (let i = length - 2 * SAMPLED; i < length; i += 1) hash = Math.imul(hash ^ at.charCodeAt(i), 16_777_619);
  return (hash ^ (hash >>> 15)) >>> 0;
}
