import { BackendUnavailableError } from "@hotset/core";
import type { LinkSettings } from "../connection/link.ts";
import { openSession, type SessionSettings } from "../connection/session.ts";
import { parseSlots, type NodeAddress, type SlotRange } from "../primitives/hash-slots.ts";

export interface ClusterSettings {
  /** Nodes to ask first. */
  readonly seeds: readonly NodeAddress[];
  /** The same for every node. */
  readonly node: SessionSettings;
  readonly link: LinkSettings;
  /** Whether a read may be answered by a replica, which lags behind. */
  readonly readFromReplicas: boolean;
}

/** Asks one seed after the other. Fails with the error of the last one asked. */
export async function topologyFromSeeds(
  { seeds, node }: ClusterSettings,
  aborted: AbortSignal,
): Promise<readonly SlotRange[]> {
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
      return parseSlots(reply, seed);
    } catch (error) {
      lastError = error;
      // Other nodes refuse the same credentials and certificates.
      if (error instanceof BackendUnavailableError && !error.retryable) break;
    }
  }
  throw lastError;
}
