import type { InvalidateResult, LoadContext, LoadOptions, Namespace } from "@hotset/core";
import { firstOf, type FieldLines } from "../semantics/fields.ts";
import type { Freshness } from "../semantics/freshness.ts";
import { fallbackWindowMs } from "../semantics/reuse.ts";
import type { StoreDecision } from "../semantics/storing.ts";
import { hasValidator } from "../semantics/validators.ts";
import { selectingText } from "../semantics/vary.ts";
import { ignore } from "./messages.ts";
import type { Plan } from "./options.ts";
import {
  bodyKey,
  indexEntry,
  isBody,
  readIndex,
  readStored,
  responseEntry,
  type BodyEntry,
  type InlineBody,
  type StoredBody,
  type StoredIndex,
  type StoredResponse,
} from "./stored.ts";
import { indexLifetime, withVariant, type Variants } from "./variants.ts";
import { LANGUAGE, languageKey, variantKey, type Visit } from "./visit.ts";

/** A response that may be stored, and is complete. */
export interface Complete {
  readonly decision: StoreDecision & { readonly store: true };
  readonly bytes: Uint8Array;
  readonly status: number;
  readonly statusText: string;
  readonly receivedAt: number;
}

/**
 * Puts responses into the namespace. A URL whose response does not vary has one entry. One whose response varies has an
 * index there, and its variants under a generation that ends with the index. A large body is a separate entry, named
 * after that of its head: the next one replaces it, and it is removed with its head.
 */
export class Shelf {
  readonly #namespace: Namespace;
  readonly #plan: Plan;
  readonly #variants: Variants;
  /** Marks the responses that this process received. Made late: workers draw none before a request. */
  #instance: string | undefined;

  constructor(namespace: Namespace, plan: Plan, variants: Variants) {
    this.#namespace = namespace;
    this.#plan = plan;
    this.#variants = variants;
  }

  /**
   * Called by the loader of `visit.key`: returns what that key holds from now on.
   *
   * @param elsewhere is returned, for its own caller alone, when the response is stored under another key.
   */
  async store(visit: Visit, ctx: LoadContext, complete: Complete, elsewhere: object): Promise<unknown> {
    const { decision } = complete;
    const known = visit.index?.selecting ?? [];
    const selecting = [...new Set([...known, ...decision.selecting])].toSorted();
    const lifetime = this.lifetimeOf(decision, decision.fields);
    if (selecting.length === known.length) {
      const entry = await this.entry(visit.key, visit, complete);
      await this.#removeBodyOf(ctx.stale?.value, entry);
      ctx.setOptions(lifetime);
      if (visit.index !== undefined && ctx.stale === undefined) {
        const { key, selects, index } = visit;
        const language = this.#language(visit, complete, index);
        const added = await this.#variants.add(visit, index, { key, selects, language });
        // A variant that no index names could be found, and not be removed.
        if (added === undefined) return this.#leaveOut(ctx, key, elsewhere);
      }
      return entry;
    }
    if (visit.index !== undefined) {
      // Not here: a purge since this load began would not reach what is stored under another key.
      await this.#variants.widen(visit, selecting);
      return ctx.notShared(elsewhere);
    }
    const index = indexEntry(selecting, visit.family);
    const selects = selectingText(selecting, visit.request.fields, this.#plan.normalisers);
    const key = variantKey(index.generation, selects);
    const entry = await this.entry(key, { target: visit.target, selects }, complete);
    await this.#namespace.set(key, entry, lifetime);
    await this.#removeBodyOf(ctx.stale?.value, entry);
    // With the tags of its variant, until `settle`: a purge of one during this load ends both.
    const { tags = [], ...life } = indexLifetime(visit.family);
    ctx.setOptions({ ...life, tags: [...tags, ...(lifetime.tags ?? [])] });
    return withVariant(index, { key, selects, language: this.#language(visit, complete, index) });
  }

  /** After a load of the URL has stored an index: from now on the tags of a variant are those of the variant alone. */
  async settle(visit: Visit, loaded: unknown): Promise<void> {
    const index = readIndex(loaded);
    if (index) await this.#variants.keep(visit, index);
  }

  async #leaveOut(ctx: LoadContext, key: string, elsewhere: object): Promise<unknown> {
    await this.#namespace.deleteMany([key, bodyKey(key)]).catch(ignore);
    return ctx.notShared(elsewhere);
  }

  /** The response as the entry of `key`; a large body has a separate one by then. */
  async entry(
    key: string,
    { target, selects }: Pick<Visit, "target" | "selects">,
    complete: Complete,
  ): Promise<StoredResponse> {
    const { decision, bytes, status, statusText, receivedAt } = complete;
    return responseEntry({
      status,
      statusText,
      fields: withTrueLength(decision.fields, bytes.byteLength),
      freshness: decision.freshness,
      target,
      selects,
      bodyBytes: bytes.byteLength,
      body: await this.#place(bodyKey(key), bytes, this.#lifeMs(decision.freshness, decision.fields)),
      receivedBy: (this.#instance ??= crypto.randomUUID()),
      receivedAt,
    });
  }

  async #place(key: string, bytes: Uint8Array, lifeMs: number): Promise<InlineBody | BodyEntry> {
    if (bytes.byteLength <= this.#plan.inlineBytes) return { bytes };
    // Longer than its head, so that one that is renewed in time needs no second copy.
    const keptMs = lifeMs + Math.min(lifeMs, LONGEST_REST_MS);
    const id = crypto.randomUUID();
    const stored: StoredBody = { id, bytes };
    await this.#namespace.set(key, stored, { ttl: keptMs, staleWhileRevalidate: 0, staleIfError: 0 });
    return { key, id, keptUntil: this.#plan.epochMs() + keptMs };
  }

  /** The bytes of a stored response; `undefined` when its body has gone, or is that of another response. */
  async bytesOf({ body, bodyBytes }: StoredResponse): Promise<Uint8Array | undefined> {
    if ("bytes" in body) return body.bytes;
    const stored = await this.#namespace.get<StoredBody>(body.key);
    return isBody(stored, body.id) && stored.bytes.byteLength === bodyBytes ? stored.bytes : undefined;
  }

  async #removeBodyOf(replaced: unknown, { body }: StoredResponse): Promise<void> {
    const before = readStored(replaced);
    if (before?.kind !== "response" || !("key" in before.body)) return;
    if (!("key" in body) || body.key !== before.body.key) await this.#namespace.delete(before.body.key).catch(ignore);
  }

  /** After a validation: other fields and freshness, the same body, stored again only if it would end first. */
  async renew(visit: Visit, stale: StoredResponse, freshness: Freshness, fields: FieldLines): Promise<StoredResponse> {
    const { body } = stale;
    const lifeMs = this.#lifeMs(freshness, fields);
    const isKept = "bytes" in body || body.keptUntil >= this.#plan.epochMs() + lifeMs;
    const bytes = isKept ? undefined : await this.bytesOf(stale);
    const renewed = isKept || bytes === undefined ? body : await this.#place(body.key, bytes, lifeMs);
    return responseEntry({
      ...stale,
      target: visit.target,
      fields,
      freshness,
      body: renewed,
      receivedBy: (this.#instance ??= crypto.randomUUID()),
      receivedAt: this.#plan.clock.now(),
    });
  }

  /** Removes the stored response after one that may not be stored has replaced it. */
  async remove(visit: Visit): Promise<void> {
    await this.#namespace.deleteMany([visit.key, bodyKey(visit.key)]).catch(ignore);
  }

  /** Removes what is stored under these keys of URLs, with variants and bodies, in every process. */
  async removeAll(keys: readonly string[]): Promise<InvalidateResult & { readonly removed: Iterable<unknown> }> {
    const found = await this.#namespace.getMany(keys, { allowStale: true });
    const heads = [...keys, ...[...found.values()].flatMap((value) => readIndex(value)?.variants ?? [])];
    const { pending } = await this.#namespace.deleteMany(heads.flatMap((key) => [key, bodyKey(key)]));
    return { status: pending > 0 ? "pending" : "done", removed: found.values() };
  }

  /** Makes a URL stale, with its variants; without a tag on them also those under way, whose loads are not stored. */
  async markStale(primary: string): Promise<readonly { readonly status: string }[]> {
    let index = readIndex(await this.#namespace.get(primary, { allowStale: true }));
    if (index?.mark) {
      index = await this.#variants.mark(primary);
      if (index === undefined) return [await this.removeAll([primary])];
    }
    return Promise.all((index?.variants ?? [primary]).map((key) => this.#namespace.markStale(key)));
  }

  /** The entry outlives its freshness for as long as it can be validated, or be served as fallback. */
  lifetimeOf(
    { freshness, tags }: { readonly freshness: Freshness; readonly tags: readonly string[] },
    fields: FieldLines,
  ): LoadOptions {
    const freshForMs = freshness.lifetimeMs - freshness.initialAgeMs;
    const lateMs = Math.max(0, -freshForMs);
    return {
      ttl: Math.max(0, freshForMs),
      staleWhileRevalidate: Math.max(0, freshness.staleWhileRevalidateMs - lateMs),
      staleIfError: Math.max(
        0,
        fallbackWindowMs(freshness, "unreachable", this.#plan.settings.whenDisconnectedMs) - lateMs,
      ),
      keepFor: Math.max(0, this.#keptMs(freshness, fields) - lateMs),
      tags,
    };
  }

  /** Whether this process received it before `at`, or from then on; `undefined` where another process did. */
  isReceivedHere({ receivedBy, receivedAt }: StoredResponse, at: number): "before" | "since" | undefined {
    if (receivedBy !== this.#instance) return undefined;
    return receivedAt < at ? "before" : "since";
  }

  #keptMs(freshness: Freshness, fields: FieldLines): number {
    const forValidationMs = hasValidator(fields) ? this.#plan.keepForValidationMs : 0;
    if (freshness.mustRevalidate) return forValidationMs;
    const { staleWhileRevalidateMs, staleIfErrorMs } = freshness;
    const disconnectedMs = fallbackWindowMs(freshness, "unreachable", this.#plan.settings.whenDisconnectedMs);
    return Math.max(staleWhileRevalidateMs + forValidationMs, staleIfErrorMs, disconnectedMs);
  }

  #lifeMs(freshness: Freshness, fields: FieldLines): number {
    return Math.max(0, freshness.lifetimeMs - freshness.initialAgeMs) + this.#keptMs(freshness, fields);
  }

  #language(visit: Visit, { decision }: Complete, index: StoredIndex): string | undefined {
    const language = firstOf(decision.fields, "content-language")?.trim().toLowerCase();
    if (language === undefined || !index.selecting.includes(LANGUAGE) || !/^[a-z0-9-]+$/.test(language))
      return undefined;
    return languageKey(index.selecting, language, visit.request.fields, this.#plan.normalisers);
  }
}

/** One Content-Length where there are some, such as "5, 5". */
function withTrueLength(fields: FieldLines, length: number): FieldLines {
  const [first] = fields.filter(([name]) => name === "content-length");
  if (first === undefined) return fields;
  return fields
    .filter((line) => line[0] !== "content-length" || line === first)
    .map((line) => (line === first ? ["content-length", String(length)] : line));
}

/** How much longer than its head a body is kept at most. */
const LONGEST_REST_MS = 86_400_000;
