import { LoadTimeoutError, type LoadContext } from "@hotset/core";
import { inNoCall, within } from "@hotset/core/internal";
import { announcedBytes } from "../semantics/directives.ts";
import type { FieldLines, Head } from "../semantics/fields.ts";
import type { Exchange } from "../semantics/freshness.ts";
import { fallbackWindowMs, isServerFailure, type OriginFailure } from "../semantics/reuse.ts";
import { aged, type NotStored, type StoreDecision } from "../semantics/storing.ts";
import { freshen, isAboutStored, replaces } from "../semantics/updating.ts";
import { conditionsOf } from "../semantics/validators.ts";
import { selectingFields } from "../semantics/vary.ts";
import { forwarded } from "./answer.ts";
import { LateLoads } from "./late-loads.ts";
import { LentFields, lentInVain } from "./lent-fields.ts";
import { isShaped, loadRequest, type LoadRequest } from "./load-request.ts";
import { discard, signalOf, type PlainResponse } from "./messages.ts";
import type { Plan } from "./options.ts";
import { askForAll, OriginAnsweredError, passOn } from "./origin.ts";
import type { Overtaking } from "./overtaking.ts";
import { OwnRuns } from "./own-runs.ts";
import type { Places } from "./places.ts";
import { SharedBody, sharedBodyOf } from "./shared-body.ts";
import { NO_NAMES, Sharing } from "./sharing.ts";
import type { Shelf } from "./shelf.ts";
import type { Meter } from "./stats.ts";
import { readStored, type StoredResponse } from "./stored.ts";
import type { Visit } from "./visit.ts";
import { LateLoadError, NOT_SHARED, type Takers } from "./wait.ts";

/** A load failed with fields of its client that are not in the key. */
class FailedForOne extends Error {}

/** An answer to a load, and what it may replace. */
interface Decided<D> {
  readonly decision: D;
  readonly response: PlainResponse;
  readonly stale: StoredResponse | undefined;
}

/** The answer of the origin to a load for all. */
interface Loaded {
  readonly response: PlainResponse;
  readonly exchange: Exchange;
  readonly shared: LoadRequest;
}

/**
 * Loaders of `getOrSet`: a request to the origin, a decision about its answer, and what the key holds from now on.
 *
 *   own run due? ─yes─▶ its own caller asks alone
 *     │ no
 *   request ─304─▶ renew what is stored
 *     ├─ 5xx, something stale may answer ─▶ fail
 *     ├─ no answer ─▶ fail, or each caller asks alone
 *     ├─ for all, after `loadTimeout` ─▶ answer those that wait
 *     ├─ for all ─▶ store
 *     └─ for one ─▶ pass on
 */
export class OriginLoads {
  readonly #plan: Plan;
  readonly #shelf: Shelf;
  readonly #meter: Meter;
  readonly #overtaking: Overtaking;
  /** URLs for which each client asks the origin for itself at present. */
  readonly ownRuns: OwnRuns;
  readonly #lent = new LentFields();
  readonly #late = new LateLoads();
  readonly #sharing: Sharing;

  constructor(plan: Plan, shelf: Shelf, places: Places, meter: Meter, overtaking: Overtaking) {
    this.#plan = plan;
    this.#shelf = shelf;
    this.#meter = meter;
    this.#overtaking = overtaking;
    this.ownRuns = new OwnRuns(plan);
    this.#sharing = new Sharing(plan, places);
  }

  /** @returns what `visit.key` holds from now on. */
  run(visit: Visit, ctx: LoadContext, takers: Takers): Promise<unknown> {
    return this.#load(visit, ctx, takers).finally(() => {
      if (takers.isLate) this.#late.end(visit.key);
    });
  }

  async #load(visit: Visit, ctx: LoadContext, takers: Takers): Promise<unknown> {
    const alone = takers.deliver() === undefined ? undefined : this.ownRuns.reasonFor(visit);
    if (alone !== undefined) return this.#serveAlone(visit, ctx, alone, takers);
    const found = visit.ignoresStored ? undefined : readStored(ctx.stale?.value);
    const stale = found?.kind === "response" && found.selects === visit.selects ? found : undefined;
    if (stale === undefined) this.#late.admit(visit.key);
    let loaded: Loaded;
    try {
      loaded = await this.#validate(visit, ctx, stale, takers);
      if (ctx.signal.aborted) discard(loaded.response.body);
      ctx.signal.throwIfAborted();
    } catch (error) {
      return this.#failed(visit, ctx, { error, stale }, takers);
    }
    const { response, exchange, shared } = loaded;
    if (response.status === 304 && stale !== undefined) return this.#renew(visit, ctx, { ...loaded, stale }, takers);
    const failure = response.isFailure === true ? "unreachable" : "answered";
    if (isServerFailure(response.status) && this.#cover(ctx, stale, failure)) {
      const error = new OriginAnsweredError(response, failure, visit.request);
      if (takers.deliver() === undefined) discard(error.take(visit.request)?.body);
      throw error;
    }
    const decided = this.#sharing.decide(visit, response, exchange, shared);
    const isKept = stale !== undefined && !replaces(response.status) && !namesStatus(visit, response);
    const refusal = isKept ? "status" : isComplete(response) ? undefined : "incomplete";
    if (takers.isLate && decided.store && refusal === undefined)
      return this.#answerLate(visit, ctx, { decision: decided, response, stale }, takers);
    const decision: StoreDecision =
      decided.store && refusal !== undefined ? { ...decided, store: false, reason: refusal } : decided;
    if (decision.store) {
      this.ownRuns.forget(visit);
      this.#lent.remember(visit.request.url, decision.selecting);
      return this.#store(visit, ctx, { decision, response, stale }, takers);
    }
    const { reason } = decision;
    if (takers.isLate) takers.crew.refuse(reason);
    if (!shared.isShaped || decision.isForAll) return this.#passOn(visit, ctx, { decision, response, stale }, takers);
    // It was made without what this client sent, and says nothing of others.
    if (shared.lent.size === 0 || !isFailed(response)) this.ownRuns.note(visit, reason);
    discard(response.body);
    await this.#removeReplaced(visit, stale, response.status);
    return this.#serveAlone(visit, ctx, reason, takers);
  }

  /**
   * A handler that failed. With a stale response to serve, that answers; else each client asks with all of its fields,
   * which the handler may need. One that is late, and that no caller waits for, leaves the others to the next load.
   */
  async #failed(
    visit: Visit,
    ctx: LoadContext,
    { error, stale }: { readonly error: unknown; readonly stale: StoredResponse | undefined },
    takers: Takers,
  ): Promise<unknown> {
    const reason = error instanceof LoadTimeoutError ? "slow" : "failed";
    const isCovered = !(error instanceof FailedForOne) && this.#cover(ctx, stale, "unreachable");
    if (isCovered || ctx.signal.aborted || ctx.background) throw error;
    if (reason === "slow") {
      if (stale !== undefined) throw error;
      takers.deliver()?.(Promise.reject(error));
      return ctx.notShared(NOT_SHARED);
    }
    if (!isShaped(visit, this.#plan)) throw error;
    if (!(error instanceof FailedForOne)) this.ownRuns.note(visit, reason);
    return this.#serveAlone(visit, ctx, reason, takers);
  }

  /** Says for this failure alone how long a stale response may answer in its place; whether it may at all. */
  #cover(ctx: LoadContext, stale: StoredResponse | undefined, failure: OriginFailure): boolean {
    const { whenDisconnectedMs } = this.#plan.settings;
    const windowMs = stale === undefined ? 0 : fallbackWindowMs(stale.freshness, failure, whenDisconnectedMs);
    ctx.setOptions({ staleIfError: windowMs, coversError: () => windowMs > 0 });
    return windowMs > 0;
  }

  async #serveAlone(visit: Visit, ctx: LoadContext, reason: NotStored, takers: Takers): Promise<unknown> {
    // The load ends without waiting for it.
    takers.deliver()?.(this.ownRun(visit, reason).then((response) => ({ kind: "answer", response })));
    return ctx.notShared(NOT_SHARED);
  }

  /** One run of the origin for one client, with all that it sent. */
  ownRun(visit: Visit, reason: NotStored): Promise<PlainResponse> {
    const sentAt = this.#plan.epochMs();
    return passOn(visit, (head) => {
      this.#overtaking.byAnswer(visit.request);
      const exchange: Exchange = { sentAt, receivedAt: this.#plan.epochMs() };
      const shared = this.#plan.lendsOwn ? loadRequest(visit, this.#plan) : { request: NO_FIELDS, lent: NO_NAMES };
      const decision = this.#sharing.decide(visit, head, exchange, shared);
      if (decision.store) this.ownRuns.doubt(visit);
      const detail = decision.store ? reason : decision.reason;
      this.#meter.answered("pass", visit, head.status, detail);
      const status = { forward: forwardReason(visit, undefined), forwardStatus: head.status, detail };
      return { status, ageMs: decision.freshness.initialAgeMs };
    });
  }

  /**
   * With the conditions of what is stored; without them once more where a 304 is about something else, and with the
   * selecting fields where Vary names some that the handler did not see.
   *
   * @param lends fields of this client by which the response is likely to vary.
   */
  async #validate(
    visit: Visit,
    ctx: LoadContext,
    stale: StoredResponse | undefined,
    takers: Takers,
    // Most URLs of a place vary alike: one load in place of two. Not where a failure would be remembered.
    lends = stale === undefined ? this.#lent.of(visit.request.url) : [],
  ): Promise<Loaded> {
    const ours = loadRequest(visit, this.#plan, lends);
    const conditions = stale === undefined || visit.request.cache === "reload" ? [] : conditionsOf(stale.fields);
    const whenLate = (): AbortSignal | undefined => {
      // A stale response answers, or 504.
      if (stale !== undefined) return undefined;
      // Nothing else may answer in its place.
      this.#cover(ctx, undefined, "unreachable");
      const { isLate } = takers;
      const unwanted = takers.continueLate(signalOf(visit.call), lateLoad(this.#plan.loadTimeoutMs));
      // Once for each load, which may ask its handler several times.
      if (!isLate && unwanted !== undefined) this.#late.begin(visit.key);
      return unwanted;
    };
    const ask = async (shared: LoadRequest, also: FieldLines): Promise<Loaded> => {
      const asked = { ...shared.request, fields: [...shared.request.fields, ...also] };
      const sentAt = this.#plan.epochMs();
      const response = await askForAll(visit, ctx, asked, this.#plan, whenLate);
      this.#overtaking.byAnswer(visit.request);
      return { response, shared, exchange: { sentAt, receivedAt: this.#plan.epochMs() } };
    };
    const hasLent = ours.lent.size > 0;
    const loaded = await ask(ours, conditions).catch((error: unknown) => {
      if (!hasLent || ctx.signal.aborted || error instanceof LoadTimeoutError) throw error;
    });
    // It may have failed by what it saw of this client.
    if (loaded === undefined || (hasLent && isFailed(loaded.response))) {
      discard(loaded?.response.body);
      return this.#validate(visit, ctx, stale, takers, []);
    }
    const { response, exchange, shared } = loaded;
    const selecting = selectingFields(response.fields) ?? [];
    const isSeen = selecting.every((name) => !shared.withheld.has(name)) && !lentInVain(shared, response, selecting);
    if (response.status === 304 && stale !== undefined) {
      const isSelected = selecting.every((name) => visit.index?.selecting.includes(name));
      if (isSelected && isAboutStored(stale.fields, response.fields)) return loaded;
    } else if (isSeen || !this.#sharing.decide(visit, response, exchange, { ...shared, lent: NO_NAMES }).store)
      return loaded;
    discard(response.body);
    return ask(loadRequest(visit, this.#plan, selecting), []).catch((error: unknown) => {
      throw new FailedForOne("failed for one client", { cause: error });
    });
  }

  /** A 304: the stored response, with its fields. */
  async #renew(
    visit: Visit,
    ctx: LoadContext,
    { stale, response, exchange, shared }: Loaded & { readonly stale: StoredResponse },
    takers: Takers,
  ): Promise<unknown> {
    discard(response.body);
    const head = { status: stale.status, fields: freshen(stale.fields, response.fields) };
    const decision = this.#sharing.decide(visit, head, exchange, shared);
    if (!decision.store && shared.isShaped && !decision.isForAll) {
      this.ownRuns.note(visit, decision.reason);
      await this.#shelf.remove(visit);
      return this.#serveAlone(visit, ctx, decision.reason, takers);
    }
    const fields = decision.store ? decision.fields : head.fields;
    const next = await this.#shelf.renew(visit, stale, decision.freshness, fields);
    takers.deliver()?.({ kind: "validated", stored: next });
    if (!decision.store) {
      await this.#shelf.remove(visit);
      return ctx.notShared(NOT_SHARED);
    }
    ctx.setOptions(this.#shelf.lifetimeOf(decision, next.fields));
    return next;
  }

  /** A response that is not stored: its own caller gets it, and each other caller loads for itself. */
  async #passOn(
    visit: Visit,
    ctx: LoadContext,
    { decision, response, stale }: Decided<StoreDecision & { store: false }>,
    takers: Takers,
  ): Promise<unknown> {
    const { reason, freshness } = decision;
    const status = { forward: forwardReason(visit, stale), forwardStatus: response.status, detail: reason };
    const deliver = takers.deliver();
    if (deliver === undefined) discard(response.body);
    else {
      this.#meter.answered("pass", visit, response.status, reason);
      deliver({ kind: "answer", response: forwarded(visit, response, freshness.initialAgeMs, status) });
    }
    await this.#removeReplaced(visit, stale, response.status);
    return ctx.notShared(NOT_SHARED);
  }

  /** A response that came after `loadTimeout`, for all that wait for it. It is not stored. */
  #answerLate(
    visit: Visit,
    ctx: LoadContext,
    { decision, response, stale }: Decided<StoreDecision & { store: true }>,
    takers: Takers,
  ): Promise<unknown> {
    const { crew } = takers;
    const late = { ...decision, store: false, isForAll: true, reason: "slow" } as const;
    takers.leaveOthers();
    if (!crew.isFollowed) return this.#passOn(visit, ctx, { decision: late, response, stale }, takers);
    const shared = inNoCall(() => sharedBodyOf(response, { ...this.#plan, finishesAlone: false }));
    crew.lead(this.#sharing.running(visit, decision, response, shared));
    const body = shared instanceof SharedBody ? shared.read()! : shared;
    return this.#passOn(visit, ctx, { decision: late, response: { ...response, body }, stale }, takers);
  }

  /** An error says nothing of what is stored; any other answer that is not stored replaces it. */
  async #removeReplaced(visit: Visit, stale: StoredResponse | undefined, status: number): Promise<void> {
    if (stale !== undefined && replaces(status)) await this.#shelf.remove(visit);
  }

  async #store(
    visit: Visit,
    ctx: LoadContext,
    { decision, response, stale }: Decided<StoreDecision & { store: true }>,
    takers: Takers,
  ): Promise<unknown> {
    const { crew } = takers;
    const receivedAt = this.#plan.clock.now();
    // A handler that makes its body as it is read does so for all readers.
    const body = inNoCall(() => sharedBodyOf(response, this.#plan));
    const ageMs = decision.freshness.initialAgeMs;
    takers.leaveOthers();
    // Before its own caller: where that leaves first, others read on.
    crew.lead(this.#sharing.running(visit, decision, response, body));
    const deliver = takers.deliver();
    if (deliver !== undefined) {
      this.#meter.answered("miss", visit, response.status);
      const status = { forward: forwardReason(visit, stale), forwardStatus: response.status, stored: true };
      const own = body instanceof SharedBody ? body.read()! : body;
      deliver({ kind: "answer", response: forwarded(visit, { ...response, body: own }, ageMs, status) });
    }
    try {
      const { clock, loadTimeoutMs } = this.#plan;
      // After `loadTimeout` others wait no longer for a body that takes so long.
      const bytes = body instanceof SharedBody ? await within(clock, loadTimeoutMs, body.whole, () => undefined) : body;
      this.#meter.bytesFromOrigin += bytes?.byteLength ?? 0;
      if (bytes === undefined) {
        if (stale !== undefined) await this.#shelf.remove(visit);
        return ctx.notShared(NOT_SHARED);
      }
      const { status, statusText } = response;
      const complete = { decision: aged(decision, clock.now() - receivedAt), bytes, status, statusText, receivedAt };
      return await this.#shelf.store(visit, ctx, complete, NOT_SHARED);
    } finally {
      crew.end();
    }
  }
}

const forwardReason = (visit: Visit, stale: StoredResponse | undefined): "stale" | "vary-miss" | "uri-miss" =>
  stale !== undefined ? "stale" : visit.index === undefined ? "uri-miss" : "vary-miss";

/** Whether a body that is there is as long as its head says; that of a stream is compared at its end. */
function isComplete({ body, fields }: PlainResponse): boolean {
  const announced = announcedBytes(fields);
  return body instanceof ReadableStream || announced === undefined || announced === (body?.byteLength ?? 0);
}

const lateLoad = (loadTimeoutMs: number): LateLoadError =>
  new LateLoadError(`no response within loadTimeout, ${loadTimeoutMs} ms; callers that wait still get it`, {
    operation: "load",
  });

const isFailed = ({ status, isFailure }: PlainResponse): boolean => isFailure === true || isServerFailure(status);

const namesStatus = ({ rule }: Visit, { status }: Head): boolean => rule.settings.namesStatus?.(status) === true;

const NO_FIELDS = { fields: [] };
