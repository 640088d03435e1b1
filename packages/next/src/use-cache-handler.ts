import type { Computation } from "@hotset/core/adapter";
import type { Held } from "./held.ts";
import { keyIn } from "./keys.ts";
import { lifetimes } from "./lifetimes.ts";
import { keep, lookUp, revalidate } from "./look-up.ts";
import type { Begun, Kept } from "./tags.ts";
import { attempt } from "./warn.ts";

/** An entry of `use cache`, as Next has it. Times are in seconds. */
export interface UseCacheEntry {
  /** The stream, which is read once. */
  value: ReadableStream<Uint8Array>;
  /** Tags of the function. */
  tags: string[];
  /** How long a browser may keep it. */
  stale: number;
  /** Milliseconds since the epoch. */
  timestamp: number;
  /** How long it is served at all. */
  expire: number;
  /** How long it is fresh. */
  revalidate: number;
}

/** A handler of `cacheHandlers`, for Next.js 15.5 and 16. No method throws. */
export interface UseCacheHandler {
  /** The entry; `undefined` on a miss, and after an invalidation of one of its tags. */
  get(key: string, softTags: string[]): Promise<UseCacheEntry | undefined>;
  /** Stores an entry once its run has ended. */
  set(key: string, pendingEntry: Promise<UseCacheEntry>): Promise<void>;
  /** Does nothing: what other processes invalidate reaches this one by itself. */
  refreshTags(): Promise<void>;
  /** `Infinity`: {@link get} looks at the soft tags itself. */
  getExpiration(): Promise<number>;
  /** @param durations `expire` in seconds, by default never; without durations, the entries end at once. */
  updateTags(tags: string[], durations?: { expire?: number | undefined }): Promise<void>;
  /** {@link updateTags} of Next.js 15.5. */
  expireTags(...tags: string[]): Promise<void>;
}

interface StoredEntry extends Kept {
  readonly entry: Omit<UseCacheEntry, "value">;
  readonly bytes: Uint8Array;
}

const SPACE = "use:";

export function useCacheHandler(held: () => Held): UseCacheHandler {
  const writing = new Map<string, Promise<void>>();

  return {
    async get(key, softTags) {
      const name = keyIn(SPACE, key);
      return attempt("use cache: a read failed: a miss", async () => {
        const making = held().outside.enter(name);
        await writing.get(name);
        return find(held(), making, softTags);
      });
    },
    async set(key, pendingEntry) {
      const name = keyIn(SPACE, key);
      const write = attempt("use cache: a value is not stored", () =>
        store(held(), held().outside.of(name), pendingEntry),
      );
      writing.set(name, write);
      await write;
      if (writing.get(name) === write) writing.delete(name);
    },
    refreshTags: async () => {},
    getExpiration: async () => Infinity,
    updateTags: (tags, durations) => revalidate(held, tags, durations),
    expireTags: (...tags) => revalidate(held, tags.flat()),
  };
}

async function find(held: Held, making: Computation<Begun>, softTags: string[]): Promise<UseCacheEntry | undefined> {
  const { entry: found, isMarked } = await lookUp<StoredEntry>(held, making.key, () => making, { softTags });
  if (found === undefined) return undefined;
  const { entry, bytes } = found;
  return {
    ...entry,
    tags: [...entry.tags],
    // Serve it, and refresh.
    ...(isMarked && { revalidate: -1 }),
    // A copy: the reader of a stream may transfer it.
    value: new Response(bytes.slice()).body!,
  };
}

async function store(held: Held, making: Computation<Begun>, pendingEntry: Promise<UseCacheEntry>): Promise<void> {
  try {
    const { value, ...entry } = await pendingEntry;
    // Rejects where the stream fails: a part of a value is not kept.
    const bytes = new Uint8Array(await new Response(value as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
    const { tags, timestamp: at, revalidate, expire } = entry;
    if (expire > 0) await keep<StoredEntry>(held, making, { at, tags, entry, bytes }, lifetimes(revalidate, expire));
  } finally {
    // Unless it was kept.
    held.outside.end(making);
  }
}
