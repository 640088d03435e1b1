import type { KeyWalk, WalkedKeys } from "@hotset/core";
import type { Store } from "./store.ts";

interface Row {
  readonly key: Uint8Array;
  readonly staleAt: number;
  readonly endsAt: number;
  readonly bytes: number;
}

/** Rows of one read: other calls run between two of them. */
const PAGE = 500;
const OF_PREFIX = "FROM entries WHERE key >= ? AND key < ?";

/** Lists entries in the order of their keys. One that is written behind the walk is left out. */
export async function* walkFile(
  read: Store["read"],
  { prefix, contains = "", signal }: KeyWalk,
): AsyncGenerator<WalkedKeys, void> {
  const first = Buffer.from(prefix);
  // Prefixes end with a colon, so the next one has the next byte. No key is empty, and none has this byte.
  const end = Buffer.from(prefix === "" ? [0xff] : first);
  if (prefix !== "") end[end.length - 1]! += 1;
  const total = await read(
    "walk",
    (tables) => tables.rows<{ readonly n: number }>(`SELECT count(*) AS n ${OF_PREFIX}`, first, end)[0]!.n,
  );
  let looked = 0;
  for (let after: Uint8Array = first; signal?.aborted !== true;) {
    const { rows, nowMs } = await read("walk", (tables, now) => ({
      rows: tables.rows<Row>(
        `SELECT key, staleAt, endsAt, length(meta) + length(data) AS bytes ${OF_PREFIX} AND key > ? ORDER BY key LIMIT ${PAGE}`,
        first,
        end,
        after,
      ),
      nowMs: now,
    }));
    looked += rows.length;
    const keys = rows.map(({ key, staleAt, endsAt, bytes }) => ({
      key: Buffer.from(key).toString(),
      staleInMs: Math.floor(staleAt - nowMs),
      expiresInMs: Math.floor(endsAt - nowMs),
      bytes,
    }));
    yield {
      keys: keys.filter(({ key, expiresInMs }) => expiresInMs >= 1 && key.includes(contains)),
      looked,
      total: Math.max(total, looked),
    };
    if (rows.length < PAGE) return;
    after = rows.at(-1)!.key;
  }
}
