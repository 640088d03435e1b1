import type { Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryTier, StoreStatus } from "../tiers/entry-tier.ts";
import type { Flight } from "./flight.ts";

/**
 * The entry that a load found not modified, as the backend can renew it: under the version and in the form that it has
 * there, with the life and the terms of `made`. `undefined` if the backend has another one, or no leases.
 */
export function renewable({ lease, fallback }: Flight, made: Entry): Entry | undefined {
  if (lease === undefined || fallback?.encoding === undefined || fallback.version !== lease.seen) return undefined;
  const { version, encoding, encodedBytes, uncompressedBytes } = fallback;
  if (encodedBytes === undefined) return undefined;
  return { ...made, version, encoding, encodedBytes, uncompressedBytes };
}

/** Sends an entry of a load. @param encoded `undefined`: it is renewed in place, and its value is not sent. */
export async function sending(
  remote: EntryTier,
  flight: Flight,
  entry: Entry,
  encoded: Encoded | undefined,
): Promise<StoreStatus> {
  const { key, lease } = flight;
  if (encoded === undefined) return (await remote.leases!.touch(key, entry)) ? "stored" : "overtaken";
  const sent = { entry, encoded, versions: entry.versions };
  return lease === undefined ? remote.write(key, sent) : remote.leases!.store(key, sent, lease.token, lease.seen);
}
