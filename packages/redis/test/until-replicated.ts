import type { ClusterNode } from "@hotset/test-servers";
import { expect } from "vitest";

/** Writes "v" under `key`, until a replica of its primary has that, and all writes before it. */
export const untilReplicated = (primary: ClusterNode, key: string): Promise<void> =>
  // WAIT is about the writes of its own connection.
  expect.poll(() => primary.command("SET", key, "v").then(() => primary.command("WAIT", 1, 1_000))).toBe(1);
