import { ConfigurationError, type LocalEntry, type LocalTier, type LocalTierHost } from "@hotset/core";

/**
 * The smallest {@link LocalTier}: a `Map`, in the order of use. It does not remove ended entries on its own. `attach`
 * throws `ConfigurationError` for a second cache.
 */
export function mapTier(
  options: {
    /** @default 'map' */
    readonly label?: string | undefined;
    /** The least recently used entries are evicted first. @default Infinity */
    readonly maxEntries?: number | undefined;
    /** @default 'shared' */
    readonly values?: "shared" | "frozen" | "cloned" | undefined;
  } = {},
): LocalTier {
  const { label = "map", maxEntries = Infinity, values = "shared" } = options;
  const entries = new Map<string, LocalEntry>();
  let host: LocalTierHost | undefined;
  return {
    label,
    values,
    get entryCount() {
      return entries.size;
    },
    attach(to) {
      if (host !== undefined)
        throw new ConfigurationError(`${label}: this tier already belongs to a cache`, {
          tier: label,
          operation: "attach",
        });
      host = to;
    },
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      entries.delete(key);
      entries.set(key, entry);
      return entry;
    },
    set(key, entry) {
      entries.delete(key);
      const oldest = entries.size < maxEntries ? undefined : entries.keys().next().value;
      if (oldest !== undefined) entries.delete(oldest);
      entries.set(key, entry);
      if (oldest !== undefined) host?.evicted(oldest, "entries");
    },
    delete: (key) => entries.delete(key),
    clear: () => entries.clear(),
    walk: () => [...entries].map(([key, entry]) => ({ key, entry })),
  };
}
