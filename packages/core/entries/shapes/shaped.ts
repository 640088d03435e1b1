import {
  ConfigurationError,
  type CacheEvents,
  type ClearOptions,
  type DeleteManyResult,
  type DeleteResult,
  type GetOrSetManyOptions,
  type GetOrSetOptions,
  type BatchLoader,
  type Loader,
  type InvalidateResult,
  type MarkStaleResult,
  type Namespace,
  type NamespaceOptions,
  type SetOptions,
  type WriteManyResult,
  type WriteResult,
} from "@hotset/core";
import { epochMs, kindOf, schemaOf, wrapFunction } from "@hotset/core/internal";
import type { AnyFunction, NamespacePlace, Untyped, WrapKey, WrapOptions } from "@hotset/core/internal";
import { fingerprint } from "./fingerprint.ts";
import { ShapeRecord } from "./shape-record.ts";

/** Options of {@link shaped}: those of a namespace, and the shape of its values. */
export interface ShapedOptions<V> extends NamespaceOptions<V> {
  /**
   * `"auto"`: a fingerprint of `schema`, of zod, valibot, arktype or a library with Standard JSON Schema. Else a text
   * that changes when the values change their shape: a number that you raise, or a hash that your build makes.
   */
  readonly shape: string;
}

/**
 * A namespace whose values have a version of their own, made of their shape: processes of another shape have other
 * entries, and nothing else is lost when the shape changes. Tag calls, `clear` and changes of a key reach the entries of
 * every shape.
 *
 *     const products = shaped(cache, "products", { shape: "auto", schema, ttl: "10m" });
 *
 * @param within the cache, or a namespace of it.
 * @throws {ConfigurationError} for a schema that exports no structure, and over a backend without leases.
 */
export function shaped<V = unknown>(within: Namespace, name: string, options: ShapedOptions<V>): Namespace<V> {
  const { shape: given, ...ofValues } = options ?? {};
  if (typeof given !== "string" || given === "" || given.length > 100)
    throw new ConfigurationError(`shaped: shape must be "auto" or a text of 1 to 100 characters, got ${kindOf(given)}`);
  const shape = given === "auto" ? fingerprint(schemaOf(ofValues.schema).schema) : given;
  if (typeof within?.namespace !== "function") throw noCache();
  const all = within.namespace(name);
  const own = all.namespace<unknown>(nameOf(shape), ofValues);
  let made: Namespace | undefined;
  // Once it is needed: figures list each namespace that was made.
  const unrecorded = (): Namespace => (made ??= own.namespace<unknown>("unrecorded", ofValues));
  const view: Untyped<Namespace> = new ShapedNamespace({ all, own, unrecorded }, shape, recordOf(all));
  return view as Namespace<V>;
}

const nameOf = (shape: string): string => `@${shape}`;

/** `undefined` for a cache without a backend, in which there is one shape alone. */
function recordOf(all: Namespace): Shapes | undefined {
  const place = (all as { readonly [PLACE]?: () => NamespacePlace })[PLACE]?.();
  if (place === undefined) throw noCache();
  const { backend, clock } = place;
  if (backend === undefined) return undefined;
  if (backend.leases === undefined)
    throw new ConfigurationError(
      `shaped: ${backend.label} has no leases, under which processes would record their shapes; raise the version of the cache by hand`,
    );
  const record = new ShapeRecord(place, backend.leases, () => epochMs(clock));
  return { record, now: () => clock.now() };
}

const noCache = (): ConfigurationError => new ConfigurationError("shaped: give it a cache, or a namespace of one");

const PLACE: unique symbol = Symbol.for("hotset.place");

interface Namespaces {
  /** Of every shape. */
  readonly all: Namespace;
  /** Of this shape. */
  readonly own: Namespace;
  /** One that nothing is stored in: for loads of a shape that is not in the record. */
  readonly unrecorded: () => Namespace;
}

interface Shapes {
  readonly record: ShapeRecord;
  readonly now: () => number;
}

/** How often a process says that its shape is in use. */
const EVERY_MS = 3_600_000;
/** After a failure, so long until the next try. */
const RETRY_MS = 1_000;

/**
 * The entries of this shape, and the calls that reach those of others.
 *
 * Before a process stores or reads anything, its shape is in the record; before a change of a key ends, the record was
 * read after the change was called, and the key removed from each shape that is there. A load that begins later sees
 * the change at its source. Where the record is lost or cannot be read, the namespace is cleared: it is the one call
 * that needs no names.
 */
class ShapedNamespace implements Untyped<Namespace> {
  static {
    // Its entries are in the namespace of its shape.
    Object.defineProperty(ShapedNamespace.prototype, PLACE, {
      value(this: ShapedNamespace): NamespacePlace {
        return (this.#own as unknown as { readonly [PLACE]: () => NamespacePlace })[PLACE]();
      },
    });
  }

  readonly #all: Namespace;
  readonly #own: Namespace;
  readonly #unrecorded: () => Namespace;
  readonly #shape: string;
  readonly #shapes: Shapes | undefined;
  /** Until then the record has the shape; `-Infinity` before it had it. */
  #recordedUntil = -Infinity;
  #wasRecorded = false;
  #retryAt = -Infinity;
  #recording: Promise<void> | undefined;

  constructor({ all, own, unrecorded }: Namespaces, shape: string, shapes: Shapes | undefined) {
    this.#all = all;
    this.#own = own;
    this.#unrecorded = unrecorded;
    this.#shape = shape;
    this.#shapes = shapes;
    // Another process found the record lost: this shape may be missing from it.
    all.on("invalidate", ({ scope, origin }) => {
      if (scope === "namespace" && origin === "elsewhere") this.#recordedUntil = -Infinity;
    });
  }

  // ---- this shape

  async getOrSet(key: string, load: Loader<unknown>, options?: GetOrSetOptions): Promise<unknown> {
    if (this.#isReady || (await this.#ready())) return this.#own.getOrSet(key, load, options);
    // Not from its own entries: changes may not have reached them.
    return this.#unrecorded().getOrSet(key, load, { ...options, shouldStore: () => false });
  }

  async getOrSetMany<K>(
    items: readonly K[],
    key: (item: K) => string,
    load: BatchLoader<K, unknown>,
    options?: GetOrSetManyOptions<K>,
  ): Promise<Map<K, unknown>> {
    if (this.#isReady || (await this.#ready())) return this.#own.getOrSetMany(items, key, load, options);
    return this.#unrecorded().getOrSetMany(items, key, load, { ...options, shouldStore: () => false });
  }

  async get(...call: Parameters<Namespace["get"]>): Promise<unknown> {
    return this.#isReady || (await this.#ready()) ? this.#own.get(...call) : undefined;
  }

  async getMany(...call: Parameters<Namespace["getMany"]>): Promise<Map<string, unknown>> {
    return this.#isReady || (await this.#ready()) ? this.#own.getMany(...call) : new Map();
  }

  peek(key: string): unknown {
    return this.#wasRecorded || this.#shapes === undefined ? this.#own.peek(key) : undefined;
  }

  async has(key: string): Promise<boolean> {
    return (await this.get(key)) !== undefined;
  }

  async inspect(key: string): ReturnType<Namespace["inspect"]> {
    return this.#isReady || (await this.#ready()) ? this.#own.inspect(key) : undefined;
  }

  explain(key: string): ReturnType<Namespace["explain"]> {
    return this.#own.explain(key);
  }

  async touch(...call: Parameters<Namespace["touch"]>): ReturnType<Namespace["touch"]> {
    return this.#isReady || (await this.#ready()) ? this.#own.touch(...call) : { status: "missing" };
  }

  async fence(...call: Parameters<Namespace["fence"]>): ReturnType<Namespace["fence"]> {
    await this.#ready();
    return this.#own.fence(...call);
  }

  // ---- every shape

  async set(key: string, value: unknown, options?: SetOptions): Promise<WriteResult> {
    if (!(this.#isReady || (await this.#ready()))) return { status: pendingOr(await this.delete(key), "refused") };
    const [result, others] = await this.#everywhere(this.#own.set(key, value as never, options), (other) =>
      other.delete(key),
    );
    return pendingOf(others) ? { ...result, status: "pending" } : result;
  }

  async setMany(entries: Iterable<readonly [string, unknown]>, options?: SetOptions): Promise<WriteManyResult> {
    const pairs = [...entries];
    const keys = pairs.map(([key]) => key);
    if (!(this.#isReady || (await this.#ready()))) {
      const { pending } = await this.deleteMany(keys);
      return { stored: 0, pending, refused: pairs.length - pending };
    }
    const [result, others] = await this.#everywhere(this.#own.setMany(pairs as never, options), (other) =>
      other.deleteMany(keys),
    );
    return pendingOf(others) ? { stored: 0, refused: result.refused, pending: result.pending + result.stored } : result;
  }

  async delete(key: string): Promise<DeleteResult> {
    const [result, others] = await this.#everywhere(this.#own.delete(key), (other) => other.delete(key));
    if (pendingOf(others)) return { status: "pending" };
    return others.some((each) => "status" in each && each.status === "deleted") && result.status === "missing"
      ? { status: "deleted" }
      : result;
  }

  async deleteMany(keys: readonly string[]): Promise<DeleteManyResult> {
    const [result, others] = await this.#everywhere(this.#own.deleteMany(keys), (other) => other.deleteMany(keys));
    return pendingOf(others)
      ? { deleted: 0, missing: 0, pending: result.deleted + result.missing + result.pending }
      : result;
  }

  async markStale(key: string): Promise<MarkStaleResult> {
    const [result, others] = await this.#everywhere(this.#own.markStale(key), (other) => other.markStale(key));
    return pendingOf(others) ? { status: "pending" } : result;
  }

  invalidateTags(...call: Parameters<Namespace["invalidateTags"]>): Promise<InvalidateResult> {
    return this.#all.invalidateTags(...call);
  }

  markTagsStale(...call: Parameters<Namespace["markTagsStale"]>): Promise<InvalidateResult> {
    return this.#all.markTagsStale(...call);
  }

  clear(options?: ClearOptions): Promise<InvalidateResult> {
    return this.#all.clear(options);
  }

  stats(): ReturnType<Namespace["stats"]> {
    return this.#all.stats();
  }

  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void {
    return this.#all.on(event, listener);
  }

  namespace(): never {
    throw new ConfigurationError("shaped: a namespace with a shape has none below it; write shaped(namespace, name)");
  }

  wrap(fn: AnyFunction, options: WrapOptions<AnyFunction> & WrapKey<AnyFunction>): unknown {
    return wrapFunction(this, fn as (...args: unknown[]) => unknown, options as never);
  }

  // ---- the record

  /** Without a promise, since it is asked at each hit. */
  get #isReady(): boolean {
    return this.#shapes === undefined || this.#shapes.now() < this.#recordedUntil;
  }

  /**
   * Puts the shape into the record. If that fails, a shape that was there is taken to be there still.
   *
   * @returns whether entries of this shape may be read and stored.
   */
  async #ready(): Promise<boolean> {
    if (this.#isReady) return true;
    const { now } = this.#shapes!;
    if (now() >= this.#retryAt) {
      this.#recording ??= this.#record().finally(() => void (this.#recording = undefined));
      await this.#recording;
    }
    return this.#wasRecorded;
  }

  async #record(): Promise<void> {
    const { record, now } = this.#shapes!;
    try {
      const before = await record.add(this.#shape);
      // Entries from a time in which changes did not reach them: of a record that was lost those of all shapes, which
      // makes the others look; else its own.
      const isNew = Object.keys(before).length === 0;
      if (isNew || !Object.hasOwn(before, this.#shape)) await (isNew ? this.#all : this.#own).clear();
      this.#recordedUntil = now() + EVERY_MS;
      this.#wasRecorded = true;
    } catch {
      // The calls of the cache itself report a backend that does not answer.
      this.#retryAt = now() + RETRY_MS;
    }
  }

  /** A change of this shape, and of each other one that is in the record. */
  async #everywhere<R, O extends Outcome>(
    own: Promise<R>,
    change: (other: Namespace) => Promise<O>,
  ): Promise<[own: R, others: readonly (O | InvalidateResult)[]]> {
    // Handled below; the record may fail first.
    own.catch(() => undefined);
    const others = await this.#others();
    const made = others === undefined ? [this.#all.clear()] : others.map(change);
    return Promise.all([own, Promise.all<O | InvalidateResult>(made)]);
  }

  /** The namespaces of other shapes; `undefined` where they are not known. */
  async #others(): Promise<readonly Namespace[] | undefined> {
    if (this.#shapes === undefined) return [];
    try {
      const known = Object.keys(await this.#shapes.record.read());
      const others = known.filter((shape) => shape !== this.#shape);
      if (others.length < known.length || !this.#wasRecorded)
        return others.map((shape) => this.#all.namespace(nameOf(shape)));
    } catch {
      return undefined;
    }
    this.#recordedUntil = -Infinity;
    return undefined;
  }
}

type Outcome = DeleteResult | DeleteManyResult | MarkStaleResult | InvalidateResult;

const pendingOf = (outcomes: readonly Outcome[]): boolean =>
  outcomes.some((each) => ("status" in each ? each.status === "pending" : each.pending > 0));

const pendingOr = <S>(result: DeleteResult, status: S): "pending" | S =>
  result.status === "pending" ? "pending" : status;
