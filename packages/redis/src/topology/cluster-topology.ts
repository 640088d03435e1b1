import { BackendUnavailableError } from "@hotset/core";
import type { RawClient } from "../connection/command-queue.ts";
import type { LinkSettings } from "../connection/link.ts";
import { addressText, openSession, type SessionSettings } from "../connection/session.ts";
import { parseSlots, type NodeAddress, type SlotRange } from "../primitives/hash-slots.ts";
import { namedAddress, type ResolveAddress } from "./named-address.ts";

export interface ClusterSettings {
  /** Nodes to ask first. */
  readonly seeds: readonly NodeAddress[];
  /** Settings of a session, the same for every node. */
  readonly node: SessionSettings;
  readonly link: LinkSettings;
  /** Awaited on each connection before it takes commands. */
  readonly prepare: (client: RawClient) => Promise<void>;
  /** Whether a read may be answered by a replica, which lags behind. */
  readonly readFromReplicas: boolean;
  /** For the addresses that nodes name. */
  readonly resolveAddress?: ResolveAddress | undefined;
}

/**
 * The reply to CLUSTER SLOTS, with the addresses where the nodes are reached, the same from each node that answers.
 *
 * @throws {BackendUnavailableError} for an address that `resolveAddress` refuses.
 */
export function readTopology(
  reply: unknown,
  replier: NodeAddress,
  { resolveAddress }: Pick<ClusterSettings, "resolveAddress">,
): readonly SlotRange[] {
  const reached = (address: NodeAddress): NodeAddress => namedAddress(address, "CLUSTER SLOTS", resolveAddress);
  return parseSlots(reply, replier)
    .map((range) => ({
      ...range,
      primary: reached(range.primary),
      replicas: range.replicas.map(reached).sort((one, other) => (addressText(one) < addressText(other) ? -1 : 1)),
    }))
    .sort((one, other) => one.from - other.from);
}

/** Asks one seed after the other. Fails with the error of the last one asked. */
export async function topologyFromSeeds(
  settings: ClusterSettings,
  aborted: AbortSignal,
): Promise<readonly SlotRange[]> {
  const { seeds, node } = settings;
  let lastError: unknown;
  const startedAt = node.clock.now();
  for (const [index, seed] of seeds.entries()) {
    const leftMs = node.connectTimeoutMs - (node.clock.now() - startedAt);
    if (leftMs <= 0) break;
    try {
      let reply: unknown;
      // A silent seed leaves time for the others.
      const connectTimeoutMs = Math.ceil(leftMs / (seeds.length - index));
      const session = await openSession(seed, { ...node, connectTimeoutMs }, aborted, async (client) => {
        reply = await client.sendCommand(["CLUSTER", "SLOTS"]);
      });
      session.destroy();
      return readTopology(reply, seed, settings);
    } catch (error) {
      lastError = error;
      // Other nodes refuse the same credentials and certificates.
      if (error instanceof BackendUnavailableError && !error.retryable) break;
    }
  }
  throw lastError;
}
