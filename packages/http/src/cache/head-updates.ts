import type { Fence, Namespace } from "@hotset/core";
import type { Exchange } from "../semantics/freshness.ts";
import { decideStore } from "../semantics/storing.ts";
import { freshen, headConfirms } from "../semantics/updating.ts";
import { isShaped } from "./load-request.ts";
import type { PlainResponse } from "./messages.ts";
import type { Plan } from "./options.ts";
import type { Shelf } from "./shelf.ts";
import type { StoredResponse } from "./stored.ts";
import { askedBy, type Visit } from "./visit.ts";

/**
 * Applies the answer to a HEAD to the stored response (RFC 9111, section 4.3.5): with equal validators and length its
 * fields are new and its freshness begins again, else it is stale.
 *
 * @param since taken before the HEAD was sent: another process may change what is stored meanwhile.
 */
export async function applyHead(
  { visit, stored, since }: { readonly visit: Visit; readonly stored: StoredResponse; readonly since: Fence },
  response: PlainResponse,
  exchange: Exchange,
  { namespace, plan, shelf }: { readonly namespace: Namespace; readonly plan: Plan; readonly shelf: Shelf },
): Promise<void> {
  if (response.status >= 500 || isShaped(visit, plan)) return;
  if (!headConfirms(stored, response)) return void (await namespace.markStale(visit.key));
  const head = { status: stored.status, fields: freshen(stored.fields, response.fields) };
  const decision = decideStore(askedBy(visit, "HEAD"), head, exchange, visit.rule.settings);
  if (!decision.store) return shelf.remove(visit);
  const next = await shelf.renew(visit, stored, decision.freshness, decision.fields);
  await namespace.set(visit.key, next, { ...shelf.lifetimeOf(decision, decision.fields), since });
}
