import type { Namespace } from "@hotset/core";
import type { Exchange } from "../semantics/freshness.ts";
import { decideStore } from "../semantics/storing.ts";
import { freshen, headConfirms } from "../semantics/updating.ts";
import type { PlainResponse } from "./messages.ts";
import type { Plan } from "./options.ts";
import { isShapedByClient } from "./safe-fields.ts";
import type { Shelf } from "./shelf.ts";
import type { StoredResponse } from "./stored.ts";
import { askedBy, type Visit } from "./visit.ts";

/**
 * Applies the answer to a HEAD to the stored response (RFC 9111, section 4.3.5): with equal validators and length its
 * fields are new and its freshness begins again, else it is stale.
 */
export class HeadUpdates {
  readonly #namespace: Namespace;
  readonly #plan: Plan;
  readonly #shelf: Shelf;

  constructor(namespace: Namespace, plan: Plan, shelf: Shelf) {
    this.#namespace = namespace;
    this.#plan = plan;
    this.#shelf = shelf;
  }

  async apply(visit: Visit, stored: StoredResponse, response: PlainResponse, exchange: Exchange): Promise<void> {
    if (response.status >= 500 || isShapedByClient(visit, this.#plan.safe)) return;
    if (!headConfirms(stored, response)) {
      await this.#namespace.markStale(visit.key);
      return;
    }
    const head = { status: stored.status, fields: freshen(stored.fields, response.fields) };
    const decision = decideStore(askedBy(visit, "HEAD"), head, exchange, visit.rule.settings);
    if (!decision.store) {
      await this.#shelf.remove(visit);
      return;
    }
    const next = await this.#shelf.renew(visit, stored, decision.freshness, decision.fields);
    // Under the lease of the key: not over a response that another process loads meanwhile.
    await this.#namespace.getOrSet(
      visit.key,
      (ctx) => {
        ctx.setOptions(this.#shelf.lifetimeOf(decision, decision.fields));
        return next;
      },
      { maxAge: 0 },
    );
  }
}
