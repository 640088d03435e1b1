import type { InvalidateResult, Namespace } from "@hotset/core";
import { parseSeconds } from "../semantics/directives.ts";
import { joinedOf } from "../semantics/fields.ts";
import type { Exchange } from "../semantics/freshness.ts";
import { invalidatedUrls, isNoError } from "../semantics/invalidation.ts";
import { canBeKey } from "../semantics/request-shape.ts";
import { decideStore } from "../semantics/storing.ts";
import { invalidatedGroups } from "../semantics/tags.ts";
import { ignore, type PlainRequest, type PlainResponse } from "./messages.ts";
import type { Plan } from "./options.ts";
import { isShapedByClient } from "./safe-fields.ts";
import { SharedBody } from "./shared-body.ts";
import type { Shelf } from "./shelf.ts";

/** Where the responses of a URL are. */
export interface Place {
  readonly target: string;
  readonly key: string;
}

/** Answers to unsafe methods invalidate the responses of their URLs, and of groups. */
export class UnsafeMethods {
  readonly #namespace: Namespace;
  readonly #plan: Plan;
  readonly #shelf: Shelf;
  readonly #placeOf: (url: string) => Place;

  constructor(namespace: Namespace, plan: Plan, shelf: Shelf, placeOf: (url: string) => Place) {
    this.#namespace = namespace;
    this.#plan = plan;
    this.#shelf = shelf;
    this.#placeOf = placeOf;
  }

  /** Invalidates in all processes, and resolves when that is done: the answer must not be sent before. */
  async invalidate(request: PlainRequest, response: PlainResponse): Promise<void> {
    if (!isNoError(response.status)) return;
    const urls = invalidatedUrls(request.method, request.url, response).filter(canBeKey);
    const keys = urls.map((url) => this.#placeOf(url).key);
    const groups = invalidatedGroups(response.fields, new URL(request.url).origin);
    const done: Promise<InvalidateResult | object>[] = [];
    if (keys.length > 0) done.push(this.#namespace.deleteMany(keys));
    if (groups.length > 0) done.push(this.#namespace.invalidateTags(groups));
    await Promise.all(done);
  }

  /** An answer to a POST that says that it is what a GET of its URL gives: stored once its body has come. */
  keep(request: PlainRequest, response: PlainResponse, exchange: Exchange): PlainResponse {
    if (request.method !== "POST" || isShapedByClient({ request, index: undefined }, this.#plan.safe)) return response;
    if (!canBeKey(request.url)) return response;
    const asked = { method: "POST", url: request.url, fields: request.fields, saysNoStore: false };
    const decision = decideStore(asked, response, exchange, this.#plan.settings);
    if (!decision.store || decision.selecting.length > 0) return response;
    const { clock, settings, bodyIdleMs } = this.#plan;
    const { target, key } = this.#placeOf(request.url);
    const receivedAt = clock.now();
    const put = async (bytes: Uint8Array | undefined): Promise<void> => {
      if (bytes === undefined) return;
      const { status, statusText } = response;
      const complete = { decision, bytes, status, statusText, receivedAt };
      await this.#namespace.set(
        key,
        await this.#shelf.entry(target, "", complete),
        this.#shelf.lifetimeOf(decision, decision.fields),
      );
    };
    if (!(response.body instanceof ReadableStream)) {
      void put(response.body ?? new Uint8Array(0)).catch(ignore);
      return response;
    }
    const announcedBytes = parseSeconds(joinedOf(response.fields, "content-length")?.trim() ?? "");
    const options = { clock, maxBytes: settings.maxBodyBytes, idleMs: bodyIdleMs, announcedBytes, finishesAlone: true };
    const body = new SharedBody(response.body, options);
    void body.whole.then(put).catch(ignore);
    return { ...response, body: body.read()! };
  }
}
