import type { Entry } from "../entry/entry.ts";
import type { EntryKey } from "../entry/key.ts";
import { promised } from "../primitives/settlers.ts";
import { orPending } from "../tiers/recovery.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import type { Writing } from "./context.ts";
import type { BehindFence } from "./far-fences.ts";

/** The answer to a write of what a transaction may be changing. */
export const BARRED: BehindFence = { status: "overtaken", versions: undefined };

/**
 * Stores a value that was computed outside a load, as a load stores its own: one that a transaction may be changing is
 * not stored, and one that crossed it is removed again.
 *
 * @returns `undefined` for such a one.
 */
export async function storeUnlessBarred(
  { barrier, recovery }: Writing,
  remote: RemoteTier,
  { terms: { dependsOn } }: Entry,
  key: EntryKey,
  store: () => Promise<BehindFence>,
): Promise<BehindFence | undefined> {
  if (barrier === undefined) return store();
  if (await barrier.bars(key, dependsOn)) return undefined;
  const written = await store();
  if (written.status !== "stored" || !(await barrier.bars(key, dependsOn))) return written;
  await promised<unknown>((ends) => orPending(recovery, key, (sent) => remote.removeTo(key, sent), ends));
  return undefined;
}
