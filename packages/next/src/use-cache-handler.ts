import type { Held } from "./held.ts";
import { keyIn } from "./keys.ts";
import { lifetimes } from "./lifetimes.ts";
import { keep, lookUp, type Kept } from "./look-up.ts";
import { warn } from "./warn.ts";

/** An entry of `use cache`, as Next has it. Times are in seconds. */
export interface UseCacheEntry {
  value: ReadableStream<Uint8Array>;
  tags: string[];
  stale: number;
  /** Milliseconds since the epoch. */
  timestamp: number;
  expire: number;
  revalidate: number;
}

/** A handler of `cacheHandlers`, for Next.js 15.5 and 16. No method throws. */
export interface UseCacheHandler {
  get(key: string, softTags: string[]): Promise<UseCacheEntry | undefined>;
  set(key: string, pendingEntry: Promise<UseCacheEntry>): Promise<void>;
  /** Does nothing: what other processes invalidate reaches this one by itself. */
  refreshTags(): Promise<void>;
  /** `Infinity`: {@link get} looks at the soft tags itself. */
  getExpiration(): Promise<number>;
  /** @param durations `expire` in seconds; without it the entries end at once. */
  updateTags(tags: string[], durations?: { expire?: number | undefined }): Promise<void>;
  /** {@link updateTags} of Next.js 15.5. */
  expireTags(...tags: string[]): Promise<void>;
}

interface StoredEntry extends Kept {
  readonly stale: number;
  readonly expire: number;
  readonly revalidate: number;
  readonly bytes: Uint8Array;
}

const SPACE = "use:";

export function useCacheHandler(held: () => Held): UseCacheHandler {
  const writing = new Map<string, Promise<void>>();

  async function updateTags(tags: string[], durations?: { expire?: number | undefined }): Promise<void> {
    try {
      await held().tags.update(tags, durations?.expire);
    } catch (error) {
      warn("a revalidation failed", error);
    }
  }

  return {
    async get(key, softTags) {
      const name = keyIn(SPACE, key);
      try {
        await writing.get(name);
        return await find(held(), name, softTags);
      } catch (error) {
        warn("a read of use cache failed, which counts as a miss", error);
        return undefined;
      }
    },
    async set(key, pendingEntry) {
      const name = keyIn(SPACE, key);
      const write = store(held, name, pendingEntry).catch((error: unknown) => {
        warn("a value of use cache is not stored", error);
      });
      writing.set(name, write);
      await write;
      if (writing.get(name) === write) writing.delete(name);
    },
    refreshTags: async () => {},
    getExpiration: async () => Infinity,
    updateTags,
    expireTags: (...tags) => updateTags(tags.flat()),
  };
}

async function find(held: Held, key: string, softTags: string[]): Promise<UseCacheEntry | undefined> {
  const found = await lookUp<StoredEntry>(held, key, { tags: softTags });
  if (found === undefined) return undefined;
  const { tags, stale, at, expire, revalidate, bytes } = found.entry;
  return {
    tags: [...tags],
    stale,
    timestamp: at,
    expire,
    // Serve it, and refresh.
    revalidate: found.isMarked ? -1 : revalidate,
    value: new ReadableStream({
      start(controller) {
        // A copy: the reader of a stream may transfer it.
        controller.enqueue(bytes.slice());
        controller.close();
      },
    }),
  };
}

async function store(held: () => Held, key: string, pendingEntry: Promise<UseCacheEntry>): Promise<void> {
  const { value, tags, stale, timestamp, expire, revalidate } = await pendingEntry;
  // Rejects where the stream fails: a part of a value is not kept.
  const bytes = new Uint8Array(await new Response(value as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
  if (expire <= 0) return;
  const stored: StoredEntry = { at: timestamp, tags, stale, expire, revalidate, bytes };
  await keep(held(), key, stored, lifetimes(revalidate, expire));
}
