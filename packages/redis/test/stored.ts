import type { StoredEntry } from "@hotset/core";

/** An entry that is fresh for a minute, as a cache without a compressor writes it. */
export const stored = (data = "value"): StoredEntry => ({
  data: Buffer.from(data),
  staleInMs: 60_000,
  expiresInMs: 360_000,
  meta: "json none",
});
