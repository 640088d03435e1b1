/** The base class of the nodes in a {@link KeyTable}. A node is in one table at a time. */
export class KeyNode {
  /** The key it was added under. */
  tableKey = "";
  hash = 0;
  next: KeyNode | undefined;
}

/**
 * The work in progress, by key: many nodes come and go, few are present at a time, several may share a key.
 *
 * Not a `Map`: a map that is filled and emptied all the time makes a new table every few dozen keys, and each old
 * table, once it has outlived two collections, keeps the next one and its contents alive. Backend hits took 4.7 µs of
 * processor time with a `Map`, of which 1.4 were spent copying finished work.
 *
 * Hashed with a seed of this process, so that an attacker who chooses keys cannot choose collisions.
 */
export class KeyTable<T extends KeyNode> {
  #buckets: (KeyNode | undefined)[] = emptyBuckets(256);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a node in front of the others with this key. */
  add(key: string, node: T): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    node.tableKey = key;
    node.hash = hashOf(key);
    this.#insert(node);
    this.#size += 1;
  }

  /** Removes a node; does nothing if it is not in the table. */
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

  /** The node that was added last under this key. */
  first(key: string): T | undefined {
    const hash = hashOf(key);
    return this.#find(this.#buckets[hash & (this.#buckets.length - 1)], key, hash);
  }

  /** The node of the same key that was added before `node`. */
  after(node: T): T | undefined {
    return this.#find(node.next, node.tableKey, node.hash);
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const head of this.#buckets) for (let each = head; each !== undefined; each = each.next) yield each as T;
  }

  #find(node: KeyNode | undefined, key: string, hash: number): T | undefined {
    for (let each = node; each !== undefined; each = each.next)
      if (each.hash === hash && each.tableKey === key) return each as T;
    return undefined;
  }

  #insert(node: KeyNode): void {
    const index = node.hash & (this.#buckets.length - 1);
    node.next = this.#buckets[index];
    this.#buckets[index] = node;
  }

  #grow(): void {
    // From the oldest on, since each is inserted in front of the others.
    const nodes = [...this].toReversed();
    this.#buckets = emptyBuckets(this.#buckets.length * 4);
    for (const node of nodes) this.#insert(node);
  }
}

const emptyBuckets = (length: number): (KeyNode | undefined)[] => Array.from({ length });

const SEED = Math.trunc(Math.random() * 2 ** 32);
/** A longer key is hashed by this many characters at its start and twice as many at its end. */
const SAMPLED = 32;

/** FNV-1a over UTF-16 units, with its high bits folded in. */
function hashOf(key: string): number {
  let hash = SEED;
  const { length } = key;
  const isLong = length > 3 * SAMPLED;
  const head = isLong ? SAMPLED : length;
  for (let i = 0; i < head; i += 1) hash = Math.imul(hash ^ key.charCodeAt(i), 16_777_619);
  if (isLong)
    for (let i = length - 2 * SAMPLED; i < length; i += 1) hash = Math.imul(hash ^ key.charCodeAt(i), 16_777_619);
  return (hash ^ (hash >>> 15)) >>> 0;
}
