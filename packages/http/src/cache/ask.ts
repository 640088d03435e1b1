import type { Served } from "@hotset/core";
import { answersOthers, decideReuse } from "../semantics/reuse.ts";
import { heldFrom, isFor, type Found } from "./found.ts";
import type { ServedAs } from "./served-as.ts";
import type { Stored, StoredIndex, StoredResponse } from "./stored.ts";
import type { Visit } from "./visit.ts";

/**
 * Which responses a call of `getOrSet` accepts. `new`: one that is loaded or validated from now on, and none that is
 * stored. `later`: not that of a load which runs already, either.
 */
export type Accepts = "any" | "new" | "later";

/**
 * What a request asks next. After a response that is no answer to it, it asks again: for another key, for a newer
 * response, or for one that is not a validation of what is stored. Each of these moves to the right, so they end:
 *
 *   visit.key            of the URL ─index─▶ of the variant
 *   accepts              any ─refused─▶ new ─refused─▶ later
 *   visit.ignoresStored  false ─of no use─▶ true
 *
 * A request that cannot move asks the origin for itself.
 */
export interface Ask {
  readonly visit: Visit;
  readonly accepts: Accepts;
  /** A stored response that answers it if the origin fails. */
  readonly refused?: Found | undefined;
}

/** What to do about a response that is found. */
export type Verdict =
  /** Serve it, and refresh it in the background if it is `refreshed`. */
  | { readonly step: "serve"; readonly found: Found; readonly as: ServedAs; readonly isRefreshed: boolean }
  /** Serve it where that may be instead of the failed load; else fail as the load did. */
  | { readonly step: "fall back"; readonly found: Found; readonly error: unknown }
  | { readonly step: "select"; readonly index: StoredIndex }
  /** Ask again, see {@link Ask}. */
  | { readonly step: "refuse"; readonly found: Found }
  | { readonly step: "ignore" }
  /** Ask the origin for this request alone. */
  | { readonly step: "pass" };

/**
 * Judges what a call of `getOrSet` gave that was not for its own caller alone.
 *
 * @param served what the namespace says of it.
 * @param received whether this process received it before this request, or since.
 */
export function judge(
  { visit, accepts }: Ask,
  stored: Stored | undefined,
  served: Served | undefined,
  received: (stored: StoredResponse) => "before" | "since" | undefined,
): Verdict {
  const isVariant = visit.index !== undefined;
  if (stored?.kind === "index") return isVariant ? IGNORE : { step: "select", index: stored };
  if (stored === undefined || !isFor(stored, visit.target, isVariant ? visit.selects : undefined)) return IGNORE;
  const isLoaded = served?.status === "miss";
  const held = heldFrom(stored, isLoaded ? undefined : served);
  const found: Found = { key: visit.key, stored, held };
  const receivedHere = received(stored);
  const isForced = accepts !== "any";
  // Loaded after this request arrived, so it may be used even if it is stale by now. A forced call may join a load whose
  // response came before this request, and which is still being stored.
  const isNewHere = isForced && served?.status !== "stale" && receivedHere !== "before";
  if ((isLoaded && receivedHere === "since") || isNewHere)
    return answersOthers(stored.freshness) ? serve(found, "collapsed") : PASS;
  const reuse = decideReuse(visit.demands, held);
  if (reuse !== "revalidate") {
    const isRefreshed = reuse === "serve-and-revalidate" && served?.status !== "stale";
    return serve(found, isLoaded ? "collapsed" : reuse, isRefreshed);
  }
  if (served?.cause === "error" || served?.cause === "timeout")
    return { step: "fall back", found, error: served.error };
  return isForced && receivedHere !== "before" ? PASS : { step: "refuse", found };
}

export const serve = (found: Found, as: ServedAs, isRefreshed = false): Verdict => ({
  step: "serve",
  found,
  as,
  isRefreshed,
});
const IGNORE: Verdict = { step: "ignore" };
const PASS: Verdict = { step: "pass" };

/** After a response that the request does not accept. `undefined` if it cannot ask for a newer one. */
export function afterRefusing({ visit, accepts }: Ask, refused: Found): Ask | undefined {
  if (accepts === "later") return undefined;
  return { visit, accepts: accepts === "any" ? "new" : "later", refused };
}

/** After one that cannot be read, or whose body has gone. `undefined` if the request ignores what is stored already. */
export function afterIgnoring({ visit, accepts, refused }: Ask): Ask | undefined {
  if (visit.ignoresStored) return undefined;
  return { visit: { ...visit, ignoresStored: true }, accepts: accepts === "any" ? "new" : accepts, refused };
}
