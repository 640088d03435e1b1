import type { Fence, Namespace } from "@hotset/core";
import { firstOf } from "../semantics/fields.ts";
import type { Exchange } from "../semantics/freshness.ts";
import { invalidatedUrls, isNoError } from "../semantics/invalidation.ts";
import { canBeKey } from "../semantics/request-shape.ts";
import { decideStore } from "../semantics/storing.ts";
import { invalidatedGroups, isTag } from "../semantics/tags.ts";
import { isShaped } from "./load-request.ts";
import { ignore, type PlainOrigin, type PlainRequest, type PlainResponse } from "./messages.ts";
import type { Plan } from "./options.ts";
import type { Places } from "./places.ts";
import { SharedBody, sharedBodyOf } from "./shared-body.ts";
import type { Shelf } from "./shelf.ts";
import { askedBy, listTag, pageTag } from "./visit.ts";

/** Answers to unsafe methods invalidate the responses of their URLs, and of groups. */
export class UnsafeMethods {
  readonly #namespace: Namespace;
  readonly #plan: Plan;
  readonly #shelf: Shelf;
  readonly #places: Places;

  constructor(namespace: Namespace, plan: Plan, shelf: Shelf, places: Places) {
    this.#namespace = namespace;
    this.#plan = plan;
    this.#shelf = shelf;
    this.#places = places;
  }

  /** Whether an answer to this request may change what is stored. A function that throws forbids nothing. */
  concerns(request: PlainRequest): boolean {
    try {
      return this.#plan.mayInvalidate(request);
    } catch {
      return true;
    }
  }

  /** Invalidates in all processes, and resolves when that is done: the answer must not be sent before. */
  async invalidate(request: PlainRequest, response: PlainResponse): Promise<void> {
    if (!isNoError(response.status)) return;
    const urls = invalidatedUrls(request.method, request.url, response).filter(canBeKey);
    const { keys, families } = this.#places.namesOf(...urls);
    const tags = families.flatMap((family) => [pageTag(family), listTag(family)]).filter(isTag);
    tags.push(...invalidatedGroups(response.fields, new URL(request.url).origin));
    const { cdn } = this.#plan;
    cdn?.noteUrls(urls);
    const [{ status }] = await Promise.all([
      this.#shelf.removeAll(keys),
      tags.length > 0 && this.#namespace.invalidateTags(tags),
    ]);
    await cdn?.purgeUrls(urls, "hard", status);
  }

  /** An answer to a POST that says that it is what a GET of its URL gives: stored once its body has come. */
  keep(request: PlainRequest, response: PlainResponse, exchange: Exchange): PlainResponse {
    // Few answers to a POST name the URL that they are what a GET of it gives.
    if (request.method !== "POST" || firstOf(response.fields, "content-location") === undefined) return response;
    const fields = request.fields.filter(([name]) => !OF_BODY.has(name));
    const asked = { ...request, method: "GET", fields, hasBody: false, hasConnection: false };
    const visit = this.#places.visitOf(asked, refused, {});
    if (typeof visit === "string" || isShaped(visit, this.#plan)) return response;
    const decision = decideStore(askedBy(visit, "POST"), response, exchange, visit.rule.settings);
    if (!decision.store || decision.selecting.length > 0) return response;
    if (!this.#places.agrees(visit, response.fields)) return response;
    // It goes to its client by another way.
    if (response.body instanceof ReadableStream && response.body.locked) return response;
    const { target, key } = visit;
    const receivedAt = this.#plan.clock.now();
    const put = async (bytes: Uint8Array | undefined, since?: Fence): Promise<void> => {
      if (bytes === undefined) return;
      const { status, statusText } = response;
      const complete = { decision, bytes, status, statusText, receivedAt };
      const entry = await this.#shelf.entry(key, { target, selects: "" }, complete);
      await this.#namespace.set(key, entry, { ...this.#shelf.lifetimeOf(decision, decision.fields), since });
    };
    const body = sharedBodyOf(response, { ...this.#plan, finishesAlone: true });
    if (!(body instanceof SharedBody)) {
      void put(body).catch(ignore);
      return response;
    }
    const fence = this.#namespace.fence(key).catch(() => undefined);
    void body.whole.then(async (bytes) => put(bytes, await fence)).catch(ignore);
    return { ...response, body: body.read()! };
  }
}

/** Fields that describe the posted body, not the response that is stored. */
const OF_BODY: ReadonlySet<string> = new Set([
  "content-length",
  "content-type",
  "content-encoding",
  "transfer-encoding",
]);
const refused: PlainOrigin = () => Promise.reject(new Error("this request is asked already"));
