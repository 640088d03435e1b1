import { OverloadedError, type InvalidateResult, type Namespace, type Served } from "@hotset/core";
import type { CacheStatus } from "../semantics/cache-status.ts";
import { firstOf, type FieldLines, type Head } from "../semantics/fields.ts";
import { isSafe } from "../semantics/invalidation.ts";
import { decideReuse, freshForMs, mayFallBack, type Held } from "../semantics/reuse.ts";
import type { NotStored } from "../semantics/storing.ts";
import { isTag, prefixTag } from "../semantics/tags.ts";
import { forwarded, outgoing, partFor, responseOf, type Part } from "./answer.ts";
import { afterIgnoring, afterRefusing, judge, serve, type Ask, type Verdict } from "./ask.ts";
import { checkedNamespace, refusal } from "./checks.ts";
import { heldFrom, isFor, responseIn, type Found, type Looked } from "./found.ts";
import { applyHead } from "./head-updates.ts";
import { Loads } from "./loads.ts";
import {
  discard,
  untilAborted,
  type AnswerOptions,
  type PlainOrigin,
  type PlainRequest,
  type PlainResponse,
} from "./messages.ts";
import { planOf, type HttpCacheOptions, type Plan } from "./options.ts";
import { OriginLoads } from "./origin-loads.ts";
import { askAlone, OriginAnsweredError, passOn, statusBy, type Passing } from "./origin.ts";
import { Places } from "./places.ts";
import type { HttpRule } from "./rules.ts";
import { SERVED_AS, statusOf, type ServedAs } from "./served-as.ts";
import { Shelf } from "./shelf.ts";
import { Meter, type AnswerEvent, type HttpCacheStats } from "./stats.ts";
import { readStored, type StoredResponse } from "./stored.ts";
import { UnsafeMethods } from "./unsafe.ts";
import { Variants } from "./variants.ts";
import { likedSelects, listTag, pageTag, select, variantKey, type Visit } from "./visit.ts";
import { Hit, type Outcome } from "./wait.ts";

/** Options of an invalidation. */
export interface PurgeOptions {
  /** Stale, with its windows, instead of removed. @default false */
  readonly soft?: boolean | undefined;
}

/** How a request would be answered, and why. */
export interface Explanation {
  /** The name of the rule that matched. */
  readonly rule?: string | undefined;
  /** The key of its entry; empty where the cache is not asked. */
  readonly key: string;
  /** Fields that select among the variants of its URL. */
  readonly selecting: readonly string[];
  /** The answer that a request would get. */
  readonly outcome: "hit" | "stale" | "revalidate" | "miss" | "pass";
  /** The rule of HTTP, or of this cache, behind it. */
  readonly reason: string;
  /** Age of the stored response. */
  readonly ageSeconds?: number | undefined;
  /** Remaining freshness of the stored response in seconds; negative when it is stale. */
  readonly freshForSeconds?: number | undefined;
  /** Tags of the stored response. */
  readonly tags?: readonly string[] | undefined;
}

/**
 * An HTTP cache over `namespace`.
 *
 * @throws {ConfigurationError} without a namespace, or for an option that is unknown or out of range.
 */
export const httpCache = (namespace: Namespace, options: HttpCacheOptions = {}): HttpCache =>
  new HttpCache(checkedNamespace(namespace), options);

/**
 * An HTTP cache over a namespace: its tiers, leases, coherence and tags are those of the hotset cache. Processes whose
 * namespaces are the same share responses.
 */
export class HttpCache {
  readonly #namespace: Namespace;
  readonly #plan: Plan;
  readonly #meter: Meter;
  readonly #shelf: Shelf;
  readonly #places: Places;
  readonly #origin: OriginLoads;
  readonly #loads: Loads;
  readonly #unsafe: UnsafeMethods;

  constructor(namespace: Namespace, options: HttpCacheOptions) {
    this.#namespace = namespace;
    this.#plan = planOf(options, namespace);
    this.#meter = new Meter(this.#plan.clock);
    this.#shelf = new Shelf(namespace, this.#plan, new Variants(namespace, this.#plan));
    this.#places = new Places(this.#plan);
    this.#unsafe = new UnsafeMethods(namespace, this.#plan, this.#shelf, this.#places, this.#meter);
    const { overtaking } = this.#unsafe;
    this.#origin = new OriginLoads(this.#plan, this.#shelf, this.#places, this.#meter, overtaking);
    this.#loads = new Loads(namespace, this.#plan, this.#shelf, this.#origin, this.#meter);
  }

  /**
   * Answers `request` from the cache, or by `origin`, at most once for all processes.
   *
   * @throws what `origin` rejects with, when no stored response may be served instead.
   */
  async answer(request: PlainRequest, origin: PlainOrigin, call: AnswerOptions = {}): Promise<PlainResponse> {
    if (typeof call.signal === "object") call.signal.throwIfAborted();
    const found = this.#places.visitOf(request, origin, call);
    if (typeof found === "string") {
      if (isSafe(request.method))
        return this.#pass({ request, origin, call, rule: this.#plan, startedAt: this.#plan.clock.now() }, found);
      return untilAborted(this.#unsafe.answer(request, origin, call), call);
    }
    let visit = found;
    if (!isPlain(visit)) return untilAborted(this.#lookFirst(visit), call);
    const alone = this.#origin.ownRuns.reasonFor(visit);
    if (alone !== undefined) return this.#fit(visit, await this.#origin.ownRun(visit, alone));
    let begun = visit.demands.noCache ? undefined : this.#loads.fetch(visit, "any");
    // The usual case, without a step that something else needs.
    while (begun instanceof Hit) {
      const stored = readStored(await begun.value);
      const answer = stored?.kind === "response" ? this.#answerAtOnce(visit, stored, begun.served) : undefined;
      if (answer !== undefined) return answer;
      if (stored?.kind !== "index" || visit.index !== undefined) break;
      const selected = select(visit, stored, this.#plan.normalisers);
      if (likedSelects(selected, this.#plan.normalisers) !== undefined) break;
      visit = selected;
      begun = this.#loads.fetch(visit, "any");
    }
    return untilAborted(this.#read(visit, begun), call);
  }

  /** How this request would be answered, and why. Loads and changes nothing. */
  async explain(request: PlainRequest): Promise<Explanation> {
    const asked = this.#places.visitOf(request, noOrigin, {});
    if (typeof asked === "string") return { key: "", selecting: [], outcome: "pass", reason: asked };
    const { visit, found } = await this.#look(asked);
    const place = { rule: visit.rule.name, key: visit.key, selecting: visit.index?.selecting ?? [] };
    if (found === undefined)
      return { ...place, outcome: "miss", reason: visit.index === undefined ? "uri-miss" : "vary-miss" };
    const reuse = decideReuse(visit.demands, found.held);
    return {
      ...place,
      outcome: reuse === "revalidate" ? reuse : reuse === "fresh" ? "hit" : "stale",
      reason: reuse,
      ageSeconds: found.held.ageMs / 1_000,
      freshForSeconds: freshForMs(found.held) / 1_000,
      tags: (await this.#namespace.inspect(found.key))?.tags,
    };
  }

  /**
   * Removes all variants of a URL, in every process. A request names the URL that it has in this cache.
   *
   * @throws {ConfigurationError} for a URL that is not absolute, or on a server not one of its origins.
   */
  async purge(target: string | URL | PlainRequest, options: PurgeOptions = {}): Promise<InvalidateResult> {
    const urls = this.#places.purgeable(target);
    const { keys, families } = this.#places.namesOf(...urls);
    const { cdn } = this.#plan;
    cdn?.noteUrls(urls);
    const kinds = options.soft === true ? [pageTag] : [pageTag, listTag];
    const tags = families.flatMap((family) => kinds.map((tagOf) => tagOf(family))).filter(isTag);
    const results = await Promise.all([
      this.purgeTags(tags, options),
      ...(options.soft === true ? keys.map((key) => this.#shelf.markStale(key)) : [this.#shelf.removeAll(keys)]),
    ]);
    const status = results.flat().some((each) => each.status === "pending") ? "pending" : "done";
    return { status: (await cdn?.purgeUrls(urls, options.soft === true ? "soft" : "hard", status)) ?? status };
  }

  /**
   * Removes every response with any of these tags, in every process.
   *
   * @throws {InvalidArgumentError} for a bad tag.
   */
  purgeTags(tags: readonly string[], options: PurgeOptions = {}): Promise<InvalidateResult> {
    this.#unsafe.overtaking.byPurge();
    return options.soft === true ? this.#namespace.markTagsStale(tags) : this.#namespace.invalidateTags(tags);
  }

  /**
   * Removes every response whose path is that of `url` or below it, in every process.
   *
   * @throws {ConfigurationError} without the option `pathTags`, and as `purge` does.
   */
  async purgePrefix(url: string | URL, options: PurgeOptions = {}): Promise<InvalidateResult> {
    if (!this.#plan.settings.tagsPaths) throw refusal("purgePrefix needs responses with tags: pass pathTags: true");
    const tags = this.#places.purgeable(url).map((each) => prefixTag(new URL(each)));
    return this.purgeTags(tags, options);
  }

  /**
   * Puts these rules in place of all that hold now; requests under way keep theirs. Rules that cannot be used change
   * nothing.
   *
   * @throws {ConfigurationError} that names the place.
   */
  useRules(rules: readonly HttpRule[]): void {
    this.#places.use(this.#plan.rulesOf(rules));
  }

  /** Removes every response of this cache, in every process. Rejects as `clear` of the namespace does. */
  clear(options: PurgeOptions = {}): Promise<InvalidateResult> {
    this.#unsafe.overtaking.byPurge();
    return this.#namespace.clear({ stale: options.soft === true });
  }

  /**
   * Resolves once each purge until now has reached the CDN, and again after its `settle`, or was given up by `close` of
   * the cache; immediately without a CDN. Rejects never.
   */
  async settled(): Promise<void> {
    await this.#plan.cdn?.settled();
  }

  /** Whether it knows which origins it is the cache of, as one of a server must. */
  get isServer(): boolean {
    return this.#plan.base !== undefined || this.#plan.hosts.size > 0;
  }

  /** Counts of answers since the cache was made. Throws nothing. */
  stats(): HttpCacheStats {
    return this.#meter.stats();
  }

  /**
   * Calls `listener` with each answer until the returned function is called. An error that it throws, or rejects with,
   * is ignored.
   */
  on(_event: "answer", listener: (event: AnswerEvent) => void): () => void {
    return this.#meter.on(listener);
  }

  /**
   * The usual way: one `getOrSet` of the URL, and one of the variant where its response varies.
   *
   * @param first the one that has begun.
   */
  async #read(asked: Visit, first?: Hit | Promise<Outcome>): Promise<PlainResponse> {
    let ask: Ask = asked.demands.noCache ? await this.#askForNewer(asked) : { visit: asked, accepts: "any" };
    let begun = first;
    for (;;) {
      const outcome = await this.#fetch(ask, begun);
      begun = undefined;
      if (outcome.kind === "answer") return this.#fit(ask.visit, outcome.response);
      const next = await this.#follow(ask, this.#judge(ask, outcome));
      if (next === undefined) return this.#pass(ask.visit, "fenced");
      if ("status" in next) return next;
      ask = next;
    }
  }

  async #askForNewer(asked: Visit): Promise<Ask> {
    // A load of the URL would put a new index in place of the one that leads to its other variants.
    const visit = asked.index === undefined ? await this.#selected(asked) : asked;
    // A mode of fetch asks for an answer from now on; the directive takes one that is under way (RFC 9111, 5.2.1.4).
    return { visit, accepts: visit.request.cache === undefined ? "new" : "later" };
  }

  async #fetch({ visit, accepts, refused }: Ask, first: Hit | Promise<Outcome> | undefined): Promise<Outcome> {
    try {
      const begun = first ?? this.#loads.fetch(visit, accepts);
      return begun instanceof Hit ? { kind: "found", value: await begun.value, served: begun.served } : await begun;
    } catch (error) {
      if (error instanceof OverloadedError)
        return { kind: "answer", response: this.#refuse(visit, 503, { forward: "uri-miss", detail: "overloaded" }) };
      const fallback = refused && (await this.#fallBack(visit, refused, error));
      if (fallback !== undefined) return { kind: "answer", response: fallback };
      if (!(error instanceof OriginAnsweredError)) throw error;
      const response = error.take(visit.request);
      if (response === undefined) return { kind: "answer", response: await this.#pass(visit, "status") };
      const status = { forward: "stale", forwardStatus: response.status } as const;
      this.#meter.answered("pass", visit, response.status, "status");
      return { kind: "answer", response: forwarded(visit, response, 0, status) };
    }
  }

  #judge(ask: Ask, outcome: Exclude<Outcome, { readonly kind: "answer" }>): Verdict {
    const { key, startedAt } = ask.visit;
    if (outcome.kind === "validated") {
      const { stored } = outcome;
      return serve({ key, stored, held: heldFrom(stored, undefined) }, "validated");
    }
    const stored = readStored(outcome.value);
    return judge(ask, stored, outcome.served, (each) => this.#shelf.isReceivedHere(each, startedAt));
  }

  /** The answer, or what to ask next; `undefined` when nothing is left to ask the cache. */
  async #follow(ask: Ask, verdict: Verdict): Promise<PlainResponse | Ask | undefined> {
    const { visit } = ask;
    switch (verdict.step) {
      case "serve":
        if (verdict.isRefreshed) void this.#refresh(visit);
        return (await this.#serve(visit, verdict.found, verdict.as)) ?? afterIgnoring(ask);
      case "fall back": {
        const { found, error } = verdict;
        const answer = await this.#fallBack(visit, found, error);
        if (answer !== undefined || error === undefined || error instanceof OriginAnsweredError) return answer;
        return Promise.reject(error);
      }
      case "select": {
        const selected = select(visit, verdict.index, this.#plan.normalisers);
        const liked = await this.#liked(selected);
        return (liked && (await this.#serve(selected, liked, "fresh"))) ?? { ...ask, visit: selected };
      }
      case "refuse":
        return afterRefusing(ask, verdict.found);
      case "ignore":
        return afterIgnoring(ask);
      case "pass":
        return undefined;
    }
  }

  /** The stored response in place of a failed load, where that may be, and its body is there. */
  async #fallBack(visit: Visit, found: Found, error: unknown): Promise<PlainResponse | undefined> {
    const { whenDisconnectedMs } = visit.rule.settings;
    const failure = error instanceof OriginAnsweredError ? error.failure : "unreachable";
    if (!mayFallBack(visit.demands, found.held, failure, whenDisconnectedMs)) return undefined;
    const answer = await this.#serve(visit, found, "error");
    if (answer !== undefined && error instanceof OriginAnsweredError) discard(error.take(visit.request)?.body);
    return answer;
  }

  async #refresh(visit: Visit): Promise<void> {
    const begun = this.#loads.fetch(visit, "any");
    await (begun instanceof Hit ? begun.value : begun).catch((error: unknown) => {
      if (error instanceof OriginAnsweredError) discard(error.take(visit.request)?.body);
    });
  }

  /** From the memory of this process, with nothing to wait for. */
  #answerAtOnce(visit: Visit, stored: StoredResponse, served: Served): PlainResponse | undefined {
    const held = heldFrom(stored, served);
    const { body } = stored;
    if (!("bytes" in body) || !isFor(stored, visit.target, visit.index && visit.selects)) return undefined;
    if (decideReuse(visit.demands, held) !== "fresh") return undefined;
    const part = partFor(visit.request, stored, this.#plan.epochMs());
    return this.#answer(visit, stored, { part, bytes: body.bytes, as: "fresh", held });
  }

  /** `undefined` when its body has gone. */
  async #serve(visit: Visit, { stored, held }: Found, as: ServedAs): Promise<PlainResponse | undefined> {
    const part = partFor(visit.request, stored, this.#plan.epochMs());
    const needsBytes = part.kind === "whole" || part.kind === "range";
    const bytes = needsBytes ? await this.#shelf.bytesOf(stored) : undefined;
    if (needsBytes && bytes === undefined) return undefined;
    return this.#answer(visit, stored, { part, bytes, as, held });
  }

  #answer(visit: Visit, stored: StoredResponse, { part, bytes, as, held }: Chosen): PlainResponse {
    const { status, statusText, fields, body } = responseOf(part, stored, bytes);
    this.#meter.bytesFromCache += body instanceof Uint8Array ? body.byteLength : 0;
    this.#meter.answered(SERVED_AS[as], visit, status);
    return { status, statusText, fields: outgoing(visit, fields, held.ageMs, statusOf(as, held)), body };
  }

  /** A response of the origin for a client that may have it already. */
  #fit(visit: Visit, response: PlainResponse): PlainResponse {
    const part = partFor(visit.request, { ...response, bodyBytes: 0 }, this.#plan.epochMs());
    if (part.kind !== "unmodified") return response;
    discard(response.body);
    return responseOf(part, { ...response, bodyBytes: 0 }, undefined);
  }

  /** For requests that a stored response may answer although `getOrSet` would load, or that cannot be loaded so. */
  async #lookFirst(asked: Visit): Promise<PlainResponse> {
    const { demands, request } = asked;
    const has = (...names: readonly string[]): boolean => request.fields.some(([name]) => names.includes(name));
    const isRanged = has("range");
    // The mode of fetch asks the network without a look at what is stored; the directive allows one (RFC 9111, 5.2.1.5).
    if (request.cache === "no-store") return this.#pass(asked, "request-no-store");
    // Parts of two versions must not be joined: the handler judges its own.
    if (isRanged && has("if-match", "if-unmodified-since")) return this.#pass(asked, "method");
    const { visit, found } = await this.#look(asked);
    if (found !== undefined) {
      const reuse = decideReuse(demands, found.held);
      if (reuse === "serve-and-revalidate") void this.#refresh(visit);
      const answer = reuse === "revalidate" ? undefined : await this.#serve(visit, found, reuse);
      if (answer !== undefined) return answer;
    }
    if (demands.onlyIfCached) return this.#refuse(visit, 504, { forward: "request", detail: "only-if-cached" });
    if (request.method === "HEAD") return this.#head(visit, found?.stored);
    if (demands.noStore || found === undefined) {
      // One that is kept for validation alone is found by a load.
      if (demands.noStore || (isRanged && (await this.#namespace.inspect(visit.key)) === undefined))
        return this.#pass(visit, demands.noStore ? "request-no-store" : "method");
    }
    return this.#read(visit);
  }

  /** With the variant that it selects, where the index of its URL is stored. */
  async #selected(visit: Visit): Promise<Visit> {
    const first = await this.#stored(visit.primary);
    return first?.stored.kind === "index" ? select(visit, first.stored, this.#plan.normalisers) : visit;
  }

  /** The response that is stored for this request, fresh or stale. */
  async #look(asked: Visit): Promise<{ readonly visit: Visit; readonly found: Found | undefined }> {
    const { newer } = this.#loads;
    await newer.stored(asked.primary);
    const first = await this.#stored(asked.primary);
    const visit = first?.stored.kind === "index" ? select(asked, first.stored, this.#plan.normalisers) : asked;
    if (visit !== asked) await newer.stored(visit.key);
    const liked = await this.#liked(visit);
    const looked = liked !== undefined || visit === asked ? first : await this.#stored(visit.key);
    return { visit, found: liked ?? responseIn(looked, visit, visit.selects) };
  }

  /** A fresh variant in the language that the client likes best. */
  async #liked(visit: Visit): Promise<Found | undefined> {
    const selects = likedSelects(visit, this.#plan.normalisers);
    if (selects === undefined || this.#loads.newer.has(visit.key)) return undefined;
    const found = responseIn(await this.#stored(variantKey(visit.index!.generation, selects)), visit, selects);
    return found !== undefined && decideReuse(visit.demands, found.held) === "fresh" ? found : undefined;
  }

  async #stored(key: string): Promise<Looked | undefined> {
    let served: Served | undefined;
    const value = await this.#namespace.get(key, { allowStale: true, onServed: (each) => (served = each) });
    const stored = readStored(value);
    return stored === undefined ? undefined : { key, stored, served };
  }

  /** 504: nothing is stored, and no load is wanted. 503: as many callers wait as `maxWaiting` of the cache allows. */
  #refuse(visit: Visit, status: 503 | 504, why: CacheStatus): PlainResponse {
    const isFull = status === 503;
    this.#meter.answered("pass", visit, status, isFull ? "overloaded" : undefined);
    const fields: FieldLines = [["content-length", "0"], ...(isFull ? [["retry-after", "1"] as const] : [])];
    const statusText = isFull ? "Service Unavailable" : "Gateway Timeout";
    return { status, statusText, fields: outgoing(visit, fields, undefined, why), body: null };
  }

  async #head(visit: Visit, stored: StoredResponse | undefined): Promise<PlainResponse> {
    // Without a fence, what is stored stays as it is.
    const since = stored && (await this.#namespace.fence(visit.key).catch(() => undefined));
    const sentAt = this.#plan.epochMs();
    const judge = ({ status }: Head): { readonly status: CacheStatus } => ({
      status: { forward: stored === undefined ? "uri-miss" : "stale", forwardStatus: status },
    });
    const response = await askAlone(visit, { statusOf: statusBy(visit, judge) });
    this.#unsafe.overtaking.byAnswer(visit.request);
    const exchange = { sentAt, receivedAt: this.#plan.epochMs() };
    if (stored !== undefined && since !== undefined)
      await applyHead({ visit, stored, since }, response, exchange, {
        namespace: this.#namespace,
        plan: this.#plan,
        shelf: this.#shelf,
      });
    this.#meter.answered("pass", visit, response.status, "method");
    return forwarded(visit, response, 0, judge(response).status);
  }

  /** To the origin as it is; nothing is stored of it. */
  #pass(to: Passing, reason: NotStored): Promise<PlainResponse> {
    const startedAt = this.#plan.clock.now();
    return passOn(to, ({ status }) => {
      this.#unsafe.overtaking.byAnswer(to.request);
      this.#meter.answered("pass", { rule: {}, startedAt }, status, reason);
      const forward = reason === "method" ? "method" : "bypass";
      return { status: { forward, forwardStatus: status, ...(reason !== "method" && { detail: reason }) } };
    });
  }
}

interface Chosen {
  readonly part: Part;
  readonly bytes: Uint8Array | undefined;
  readonly as: ServedAs;
  readonly held: Held;
}

function isPlain({ demands, request: { method, fields } }: Visit): boolean {
  if (method !== "GET" || demands.onlyIfCached || demands.noStore || demands.maxStaleMs !== 0) return false;
  return firstOf(fields, "range") === undefined;
}

const noOrigin: PlainOrigin = () => Promise.reject(new Error("explain asks no origin"));
