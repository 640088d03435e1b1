import type { EntryLeases } from "../tiers/entry-tier.ts";
import { unasked } from "../tiers/recovery.ts";
import type { ComposedReads } from "./composed-reads.ts";
import type { ComposedSide } from "./composed-side.ts";
import type { ComposedWrites } from "./composed-writes.ts";
import type { SidePair } from "./side-pair.ts";

/** The leases of one side, for both: a loaded entry is stored on the other side, too. */
export function composedLeases(
  sides: SidePair,
  lead: ComposedSide,
  reads: ComposedReads,
  writes: ComposedWrites,
): EntryLeases {
  const leases = lead.tier.leases!;
  return {
    ...leases,
    // Nothing is said about the end of the entry: in near it may have ended because of `nearTtl` alone.
    acquire: async (request, token, seen) => {
      // The entry with which it may answer is older than that of the other side.
      if (lead.isHidden(request.key)) await lead.recovery.replay();
      if (lead.isHidden(request.key)) throw unasked(lead.tier.label);
      const answer = await leases.acquire(request, token, seen);
      if (answer.kind !== "entry" || answer.entry === undefined) return answer;
      // An entry in near may be older than that in far.
      if (lead === sides.near) return { ...answer, entry: await reads.readMany([request], sides.deadlineMs)[0]! };
      return { ...answer, entry: await lead.check(request, answer.entry, reads.tagCheckFor(request)) };
    },
    store: (key, write, token, seen) =>
      writes.storeLoaded(key, write, lead, (led) => leases.store(key, led, token, seen)),
  };
}
