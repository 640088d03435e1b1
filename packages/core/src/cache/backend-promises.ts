import type { Backend } from "../contracts/capabilities.ts";

/**
 * Several processes over one store can rely on these:
 *
 * - `one load`: a missing key is loaded by one of them, the others wait for its value;
 * - `deletes hold`: a value whose load began before a delete, or a `set`, is not stored after it;
 * - `tags hold`: nor is one served whose load began before its tag was invalidated, or before `clear`;
 * - `copies follow`: a change in one process ends the local copies of all others.
 */
export type BackendPromise = "one load" | "deletes hold" | "tags hold" | "copies follow";

/** The promises that `backend` can keep, by the capabilities that it has. */
export function promisesOf({ leases, coherence, keepsMeta }: Backend): readonly BackendPromise[] {
  const isSoleWriter = coherence === "sole-writer";
  const promises: BackendPromise[] = [];
  if (isSoleWriter || leases !== undefined) promises.push("one load", "deletes hold");
  if (keepsMeta !== false) promises.push("tags hold");
  if (coherence !== undefined) promises.push("copies follow");
  return promises;
}

/** Labels: a cache that is built for each request must not warn each time. */
const warned = new Set<string>();

/** A delete that is undone shows nowhere: no call fails, and no event reports it. */
export function warnOfLostDeletes(backend: Backend, warn: (text: string) => void): void {
  const { label } = backend;
  const promises = promisesOf(backend);
  if (promises.includes("deletes hold") || warned.has(label)) return;
  warned.add(label);
  const instead = promises.includes("tags hold") ? "Invalidate by tag, or let" : "Let";
  warn(
    `${label} has no leases: each process loads a missing key itself, and a load that began before a delete may ` +
      `store its value after it. ${instead} the backend state that no other process writes; see ` +
      "docs/guide/which-store.md",
  );
}
