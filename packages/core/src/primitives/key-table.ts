import { keyedHash, randomSecret, type HashSecret } from "./keyed-hash.ts";

/** The base class of the nodes in a {@link KeyTable}. A node is in one table at a time. */
export class KeyNode {
  /** The key it was added under. */
  tableKey = "";
  hash = 0;
  next: KeyNode | undefined;
  previous: KeyNode | undefined;
}

/**
 * The work in progress, by key: many nodes come and go, few are present at a time, several may share a key.
 *
 * Not a `Map`: a map that is filled and emptied all the time makes a new table every few dozen keys, and each old
 * table, once it has outlived two collections, keeps the next one and its contents alive. Backend hits took 4.7 µs of
 * processor time with a `Map`, of which 1.4 were spent copying finished work.
 *
 * Hashed with a secret of the process, so that an attacker who chooses keys cannot choose collisions. All tables share
 * it: the steps of one call hash their key once.
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
    node.hash = key === lastKey ? lastHash : hashOf(key);
    this.#insert(node);
    this.#size += 1;
  }

  /** Removes a node; does nothing if it is not in the table. Takes as long however many nodes share its key. */
  remove(node: T): void {
    const { next, previous } = node;
    const index = node.hash & (this.#buckets.length - 1);
    if (previous !== undefined) previous.next = next;
    else if (this.#buckets[index] === node) this.#buckets[index] = next;
    else return;
    if (next !== undefined) next.previous = previous;
    node.next = undefined;
    node.previous = undefined;
    this.#size -= 1;
  }

  /** The node that was added last under this key. */
  first(key: string): T | undefined {
    if (this.#size === 0) return undefined;
    const hash = key === lastKey ? lastHash : hashOf(key);
    for (let each = this.#buckets[hash & (this.#buckets.length - 1)]; each !== undefined; each = each.next)
      if (each.hash === hash && each.tableKey === key) return each as T;
    return undefined;
  }

  /** The node of the same key that was added before `node`. */
  after(node: T): T | undefined {
    const { hash, tableKey } = node;
    for (let each = node.next; each !== undefined; each = each.next)
      if (each.hash === hash && each.tableKey === tableKey) return each as T;
    return undefined;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const head of this.#buckets) for (let each = head; each !== undefined; each = each.next) yield each as T;
  }

  #insert(node: KeyNode): void {
    const index = node.hash & (this.#buckets.length - 1);
    const head = this.#buckets[index];
    node.previous = undefined;
    node.next = head;
    if (head !== undefined) head.previous = node;
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

let secret: HashSecret | undefined;
/** The steps of one call come one after another. */
let lastKey: string | undefined;
let lastHash = 0;

function hashOf(key: string): number {
  secret ??= randomSecret();
  lastKey = key;
  return (lastHash = keyedHash(secret, key));
}
