import { without, type Head } from "../semantics/fields.ts";
import type { Exchange } from "../semantics/freshness.ts";
import { answersOthers } from "../semantics/reuse.ts";
import { decideStore, type StoreDecision } from "../semantics/storing.ts";
import { selectingText } from "../semantics/vary.ts";
import type { Running } from "./followers.ts";
import { lentInVain } from "./lent-fields.ts";
import type { LoadRequest } from "./load-request.ts";
import type { PlainRequest, PlainResponse } from "./messages.ts";
import type { Plan } from "./options.ts";
import type { Places } from "./places.ts";
import type { SharedBody } from "./shared-body.ts";
import { askedBy, type Visit } from "./visit.ts";

/** What a decision sees of a load. */
type Seen = Pick<LoadRequest, "lent"> & { readonly request: Pick<PlainRequest, "fields"> };

/** Which requests may get the response of a load. */
export class Sharing {
  readonly #plan: Plan;
  readonly #places: Places;

  constructor(plan: Plan, places: Places) {
    this.#plan = plan;
    this.#places = places;
  }

  /** Decides whether the response is stored, for all that ask for its key. */
  decide(visit: Visit, head: Head, exchange: Exchange, shared: Seen): StoreDecision {
    const decision = decideStore(askedBy(visit, "GET", shared.request.fields), head, exchange, visit.rule.settings);
    if (!decision.store) return decision;
    if (lentInVain(shared, head, decision.selecting))
      return { ...decision, store: false, isForAll: false, reason: "vary-unlisted" };
    // Made without what clients send, it is for all of them only if it says so.
    if (this.#plan.safe !== undefined && !decision.isForAll)
      return { ...decision, store: false, reason: "no-freshness" };
    return this.#places.agrees(visit, head.fields) ? decision : { ...decision, store: false, reason: "rule" };
  }

  /** The load as callers get it that read along from its head on. */
  running(
    visit: Visit,
    decision: StoreDecision & { store: true },
    response: PlainResponse,
    body: SharedBody | Uint8Array,
  ): Running {
    const { freshness, selecting } = decision;
    const textOf = (each: Visit): string => selectingText(selecting, each.request.fields, this.#plan.normalisers);
    const selects = textOf(visit);
    const mayHave = answersOthers(freshness);
    return {
      status: response.status,
      statusText: response.statusText,
      // As later clients get them: `private` and `no-cache` name fields that are for the client of the load alone.
      fields: without(decision.fields, ONE_CALLERS),
      ageMs: freshness.initialAgeMs,
      body,
      suits: (each) => mayHave && each.target === visit.target && (selecting.length === 0 || textOf(each) === selects),
    };
  }
}

/** Of fields that a load has although they are not in its key. */
export const NO_NAMES: ReadonlySet<string> = new Set();

/** Fields for the caller whose load it is. */
const ONE_CALLERS: ReadonlySet<string> = new Set(["set-cookie"]);
