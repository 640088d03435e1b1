import { openSession, type Address, type NodeClient, type SessionSettings } from "../connection/session.ts";
import type { NodeAddress } from "../primitives/hash-slots.ts";
import { namedAddress, type ResolveAddress } from "./named-address.ts";

export interface SentinelSettings {
  /** Addresses and credentials of the sentinels, which have their own users. */
  readonly sentinels: readonly Sentinel[];
  readonly primaryName: string;
  readonly primary: SessionSettings;
  /** For the address of the primary. */
  readonly resolveAddress?: ResolveAddress | undefined;
}

/** One sentinel. */
export interface Sentinel {
  readonly address: Address;
  readonly settings: SessionSettings;
}

/** The primary that one sentinel names, asked over a separate connection. `undefined`: it does not know the name. */
export async function namedPrimary(
  sentinel: Sentinel,
  group: SentinelSettings,
  aborted: AbortSignal,
): Promise<Address | undefined> {
  let named: Address | undefined;
  const session = await openSession(sentinel.address, sentinel.settings, aborted, async (client) => {
    named = await namesPrimary(client, group);
  });
  session.destroy();
  return named;
}

/** Asks for the primary like `namedPrimary`, over a connection to the sentinel. */
export async function namesPrimary(client: NodeClient, group: SentinelSettings): Promise<Address | undefined> {
  const reply = (await client.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", group.primaryName])) as
    | readonly [Buffer, Buffer]
    | null;
  if (reply === null) return undefined;
  return primaryAddress({ host: reply[0].toString(), port: Number(reply[1].toString()) }, group);
}

/** Where the primary is reached. @throws {BackendUnavailableError} where `resolveAddress` refuses its address. */
export const primaryAddress = (named: NodeAddress, { resolveAddress }: SentinelSettings): NodeAddress =>
  namedAddress(named, "a sentinel", resolveAddress);
