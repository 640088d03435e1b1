/** The tiers of a cache: values in this process, values in Redis, or the first in front of the second. */
export type Shape = "memory" | "redis" | "both";

/** All values are objects that carry their key: some contenders take no others. */
export interface Value extends Readonly<Record<string, unknown>> {
  readonly key: string;
}

export interface Setup {
  /** The address of Redis. All contenders reach it over loopback TCP. */
  readonly url: string;
  readonly shape: Shape;
  /** In front of every key in Redis. */
  readonly prefix: string;
  /** Whole seconds, since some contenders accept no others. */
  readonly ttlMs: number;
  /** How long after `ttlMs` a stale value is served while it is loaded again; 0 for not at all. */
  readonly staleMs: number;
  /** Bound of the memory tier. */
  readonly maxItems: number;
  /** Whether values may have tags. */
  readonly isTagged: boolean;
  /** Whether values in Redis are compressed. */
  readonly isCompressed: boolean;
  /** The source of all values: some contenders take it once and not with each call. */
  readonly load: (key: string) => Promise<Value>;
}

/** One cache, opened. All optional functions are absent where the cache has nothing of the kind. */
export interface Contender {
  /** Reads through the cache to `load` of the setup. */
  getOrSet(key: string): Promise<unknown>;
  /** `undefined` or `null` for nothing. */
  get?(key: string): Promise<unknown>;
  set(key: string, value: Value): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  /** A hit in memory without a promise. */
  peek?(key: string): unknown;
  getMany?(keys: readonly string[]): Promise<unknown>;
  setTagged?(key: string, value: Value, tag: string): Promise<unknown>;
  invalidateTag?(tag: string): Promise<unknown>;
  close(): Promise<unknown>;
}

/** A cache that can be compared. */
export interface Product {
  /** As tables show it. */
  readonly name: string;
  /** Ours, another cache, or less than a cache: what the other two are built on. */
  readonly kind: "ours" | "peer" | "limit";
  /** Names in npm: the exact version is in package.json of this folder. The first is the cache itself. */
  readonly packages: readonly string[];
  /** The page that its setup follows. */
  readonly page: string;
  readonly shapes: readonly Shape[];
  readonly can: readonly Ability[];
  /** Resolves when it is connected. Imports the package only now. */
  open(setup: Setup): Promise<Contender>;
}

/** Serving stale values while they are loaded again; compression; tags. */
export type Ability = "stale" | "compression" | "tags";

/** Host and port, as some clients want them. */
export function addressOf(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}
