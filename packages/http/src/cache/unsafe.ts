import type { Namespace } from "@hotset/core";
import type { CacheStatus } from "../semantics/cache-status.ts";
import { parseDate } from "../semantics/dates.ts";
import { firstOf, type Head } from "../semantics/fields.ts";
import type { Exchange } from "../semantics/freshness.ts";
import { invalidatedUrls, isNoError } from "../semantics/invalidation.ts";
import { canBeKey } from "../semantics/request-shape.ts";
import { aged, decideStore, type StoreDecision } from "../semantics/storing.ts";
import { invalidatedGroups, isTag } from "../semantics/tags.ts";
import { forwarded } from "./answer.ts";
import { isShaped } from "./load-request.ts";
import { ignore, type AnswerOptions, type PlainOrigin, type PlainRequest, type PlainResponse } from "./messages.ts";
import type { Plan } from "./options.ts";
import { askAlone, statusBy } from "./origin.ts";
import { Overtaking, type Change } from "./overtaking.ts";
import type { Places } from "./places.ts";
import { SharedBody, sharedBodyOf } from "./shared-body.ts";
import type { Shelf } from "./shelf.ts";
import type { Meter } from "./stats.ts";
import { readStored } from "./stored.ts";
import { askedBy, listTag, pageTag, type Visit } from "./visit.ts";

/** Unsafe methods: their answers invalidate the responses of their URLs, and of groups. */
export class UnsafeMethods {
  readonly #namespace: Namespace;
  readonly #plan: Plan;
  readonly #shelf: Shelf;
  readonly #places: Places;
  readonly #meter: Meter;
  readonly overtaking = new Overtaking();

  constructor(namespace: Namespace, plan: Plan, shelf: Shelf, places: Places, meter: Meter) {
    this.#namespace = namespace;
    this.#plan = plan;
    this.#shelf = shelf;
    this.#places = places;
    this.#meter = meter;
  }

  /** Forwards the request. What it changes is invalidated before its answer, which may say what a GET would give. */
  async answer(request: PlainRequest, origin: PlainOrigin, call: AnswerOptions): Promise<PlainResponse> {
    const { clock } = this.#plan;
    const startedAt = clock.now();
    const sentAt = this.#plan.epochMs();
    const to = { request, rule: this.#plan };
    const judge = ({ status }: Head): { readonly status: CacheStatus } => ({
      status: { forward: "method", forwardStatus: status },
    });
    const url = this.#places.urlChangedBy(request);
    const named = url !== undefined && this.#plan.mayInvalidate({ ...request, url }) ? { ...request, url } : undefined;
    const change = named && this.overtaking.begin(named.url);
    try {
      const response = await askAlone({ request, origin, call }, { statusOf: statusBy(to, judge) });
      const received = { startedAt, receivedAt: clock.now(), exchange: { sentAt, receivedAt: this.#plan.epochMs() } };
      const removed = change === undefined ? [] : await this.#invalidate(named!, response, change);
      const kept = change && (await this.#keep(request, response, { ...received, change, removed }));
      this.#meter.answered("pass", { rule: {}, startedAt }, response.status, "method");
      return forwarded(to, kept ?? response, 0, judge(response).status);
    } finally {
      if (change !== undefined) this.overtaking.end(change);
    }
  }

  /**
   * Invalidates in all processes, and resolves when that is done: the answer must not be sent before.
   *
   * @returns what was stored under the URLs.
   */
  async #invalidate(request: PlainRequest, response: PlainResponse, change: Change): Promise<Iterable<unknown>> {
    if (!isNoError(response.status)) return [];
    const urls = invalidatedUrls(request.method, request.url, response).filter(canBeKey);
    this.overtaking.byChange(change, urls);
    const { keys, families } = this.#places.namesOf(...urls);
    const tags = families.flatMap((family) => [pageTag(family), listTag(family)]).filter(isTag);
    tags.push(...invalidatedGroups(response.fields, new URL(request.url).origin));
    const { cdn } = this.#plan;
    cdn?.noteUrls(urls);
    const [{ status, removed }] = await Promise.all([
      this.#shelf.removeAll(keys),
      tags.length > 0 && this.#namespace.invalidateTags(tags),
    ]);
    await cdn?.purgeUrls(urls, "hard", status);
    return removed;
  }

  /**
   * An answer to a POST that says that it is what a GET of its URL gives: stored once its body has come, unless anything
   * newer comes before. The fence is taken before the answer leaves: what its client does next is newer.
   */
  async #keep(request: PlainRequest, response: PlainResponse, received: Received): Promise<PlainResponse> {
    const place = this.#placeFor(request, response, received.exchange);
    if (place === undefined || this.#isOlder(received)) return response;
    const { visit, decision } = place;
    const { key, target } = visit;
    const since = await this.#namespace.fence(key).catch(ignore);
    if (since === undefined || received.change.isOvertaken) return response;
    const put = async (bytes: Uint8Array | undefined, storing: Change): Promise<void> => {
      if (bytes === undefined) return;
      const { status, statusText } = response;
      const { receivedAt } = received;
      const now = aged(decision, this.#plan.clock.now() - receivedAt);
      const complete = { decision: now, bytes, status, statusText, receivedAt };
      const entry = await this.#shelf.entry(key, { target, selects: "" }, complete);
      if (storing.isOvertaken) return;
      await this.#namespace.set(key, entry, { ...this.#shelf.lifetimeOf(now, now.fields), since });
    };
    const body = sharedBodyOf(response, { ...this.#plan, finishesAlone: true });
    const storing = this.overtaking.begin(visit.request.url);
    const whole = body instanceof SharedBody ? body.whole : Promise.resolve(body);
    void whole
      .then((bytes) => put(bytes, storing))
      .catch(ignore)
      .finally(() => this.overtaking.end(storing));
    return body instanceof SharedBody ? { ...response, body: body.read()! } : response;
  }

  #placeFor(request: PlainRequest, response: PlainResponse, exchange: Exchange): Place | undefined {
    // Few answers to a POST name the URL that they are what a GET of it gives.
    if (request.method !== "POST" || firstOf(response.fields, "content-location") === undefined) return undefined;
    // It goes to its client by another way.
    if (response.body instanceof ReadableStream && response.body.locked) return undefined;
    const fields = request.fields.filter(([name]) => !OF_BODY.has(name));
    const asked = { ...request, method: "GET", fields, hasBody: false, hasConnection: false };
    const visit = this.#places.visitOf(asked, refused, {});
    if (typeof visit === "string" || isShaped(visit, this.#plan)) return undefined;
    const decision = decideStore(askedBy(visit, "POST"), response, exchange, visit.rule.settings);
    if (!decision.store || decision.selecting.length > 0) return undefined;
    return this.#places.agrees(visit, response.fields) ? { visit, decision } : undefined;
  }

  /**
   * Whether something of its URL came after the request. If another process stored that, its Date says so. How old
   * the variants of a URL are is not known.
   */
  #isOlder({ change, removed, startedAt, exchange: { sentAt, receivedAt } }: Received): boolean {
    if (change.isOvertaken) return true;
    for (const value of removed) {
      const stored = readStored(value);
      if (stored === undefined) continue;
      if (stored.kind === "index") return true;
      const came = this.#shelf.isReceivedHere(stored, startedAt);
      const date = parseDate(firstOf(stored.fields, "date"), receivedAt) ?? -Infinity;
      if (came === "since" || (came === undefined && date >= sentAt - A_SECOND)) return true;
    }
    return false;
  }
}

/** The circumstances of an answer to an unsafe method. */
interface Received {
  readonly change: Change;
  /** What was stored under its URLs. */
  readonly removed: Iterable<unknown>;
  readonly startedAt: number;
  readonly receivedAt: number;
  readonly exchange: Exchange;
}

/** Where an answer to a POST is stored for GET. */
interface Place {
  readonly visit: Visit;
  readonly decision: StoreDecision & { readonly store: true };
}

/** Dates have no fractions. */
const A_SECOND = 1_000;

/** Fields that describe the posted body, not the response that is stored. */
const OF_BODY: ReadonlySet<string> = new Set([
  "content-length",
  "content-type",
  "content-encoding",
  "transfer-encoding",
]);
const refused: PlainOrigin = () => Promise.reject(new Error("this request is asked already"));
