import {
  checkCompactness,
  checkEvicted,
  checkEviction,
  checkMemory,
  checkPersistence,
  checkSizes,
  checkTtl,
} from "./data-checks.ts";
import type { Facts } from "./facts.ts";
import type { Finding } from "./finding.ts";
import { checkAccess, checkRights, checkTracking } from "./rights-checks.ts";
import { checkBuffers, checkClients, checkCluster, checkLatency, checkProtocol, checkServer } from "./server-checks.ts";

/** Each looks at the facts alone, and has nothing to say about what is not known. */
export const ALL_CHECKS: readonly ((facts: Facts) => readonly Finding[])[] = [
  checkServer,
  checkProtocol,
  checkMemory,
  checkEvicted,
  checkCompactness,
  checkEviction,
  checkPersistence,
  checkRights,
  checkTracking,
  checkBuffers,
  checkTtl,
  checkSizes,
  checkClients,
  checkLatency,
  checkCluster,
  checkAccess,
  checkProcesses,
];

/** The rules of the inspector, over the records that processes keep. */
function checkProcesses({ processes }: Facts): readonly Finding[] {
  if (processes === undefined || !("value" in processes)) return [];
  return processes.value.map(({ rule, level, text, remedy }) => ({
    ...{ check: "processes", severity: level, found: text, evidence: { rule }, fix: remedy },
  }));
}
