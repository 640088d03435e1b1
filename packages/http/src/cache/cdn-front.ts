import type { Clock, InvalidateResult, Namespace } from "@hotset/core";
import {
  within,
  type FollowedInvalidation,
  type InvalidationFollower,
  type NamespacePlace,
} from "@hotset/core/internal";
import type { FieldLine, FieldLines } from "../semantics/fields.ts";
import type { CdnLabels, LabelledAnswer } from "../semantics/settings.ts";
import { tagsOf } from "../semantics/tags.ts";
import { keyField, keyOfAll, keyOfPage, keyOfTag, unshared } from "./cdn-keys.ts";
import { CdnPurges } from "./cdn-purges.ts";
import type { Cdn } from "./cdn.ts";
import { refusal } from "./checks.ts";
import { isOfFamily } from "./visit.ts";

type Status = InvalidateResult["status"];

/**
 * The CDN in front of an HTTP cache. Answers leave with the keys of their tags, and each invalidation that concerns them
 * is reported to the CDN once the tiers have acknowledged it.
 *
 * An answer may leave after its page was invalidated: its request came before, or what it gives is stale. The CDN could
 * get it after the purge, and would keep it. Such an answer says that no shared cache may keep it.
 */
export class CdnFront implements CdnLabels, InvalidationFollower {
  readonly #cdn: Cdn;
  readonly #clock: Clock;
  readonly #path: readonly string[];
  readonly #all: string;
  readonly #purges: CdnPurges;
  /** By key, when it was last invalidated; the oldest first. */
  readonly #invalidated = new Map<string, number>();
  /** What came before this instant may have been forgotten. */
  #forgottenAt = -Infinity;
  /** Purges that wait until the tiers have acknowledged their invalidation. */
  readonly #unacknowledged = new Map<string, FollowedInvalidation["mode"]>();

  constructor(cdn: Cdn, namespace: Namespace) {
    const place = placeOf(namespace);
    const { name, clock, keySpace } = place;
    const { path } = keySpace;
    this.#cdn = checkedCdn(cdn);
    this.#clock = clock;
    this.#path = path;
    this.#all = keyOfAll(name, path);
    const following = place.follow(this);
    const at = { namespace: path, tier: cdn.name };
    this.#purges = new CdnPurges(cdn, this.#all, clock, {
      failed: (error) => following.failed(at, error),
      lost: (count) => following.lost(at, count),
    });
  }

  /** The fields of an answer as the CDN gets them. */
  labelled(lines: FieldLines, answer: LabelledAnswer): FieldLines {
    const { method, url, settings, tags, startedAt } = answer;
    if (method !== "GET" && method !== "HEAD") return lines;
    // No purge could name it.
    if (!URL.canParse(url)) return unshared(lines);
    const { ttlMs, controls, field } = this.#cdn;
    const named = tagsOf(answer.fields, url, settings, tags);
    const keys = new Set([
      this.#all,
      keyOfPage(url),
      ...(named ?? []).filter(isForCdn).map((tag) => keyOfTag(tag, field)),
    ]);
    const line = named && keyField(keys, field);
    if (line === undefined || answer.isStale || this.#isOvertaken(keys, startedAt)) return unshared(lines);
    const labelled: FieldLine[] = [...lines.filter(([name]) => name !== field.name), line];
    if (ttlMs !== undefined && answer.isStored)
      for (const name of controls)
        if (!lines.some((each) => each[0] === name)) labelled.push([name, `max-age=${Math.floor(ttlMs / 1_000)}`]);
    return labelled;
  }

  called(path: readonly string[], tags: readonly string[]): void {
    this.#note(this.#keysOf(path, tags));
  }

  async acknowledged({ path, tags, mode, status }: FollowedInvalidation): Promise<Status> {
    return this.#purge(this.#keysOf(path, tags), mode, status);
  }

  /** Tells the CDN of pages at these URLs, whose removal the tiers have acknowledged. */
  purgeUrls(urls: readonly string[], mode: FollowedInvalidation["mode"], status: Status): Promise<Status> {
    return this.#purge(urls.map(keyOfPage), mode, status);
  }

  /** Answers to requests from before are not for the CDN from now on. */
  noteUrls(urls: readonly string[]): void {
    this.#note(urls.map(keyOfPage));
  }

  settled(): Promise<void> {
    return this.#purges.settled();
  }

  /** A replay may be one for another server that took over, whose older pages the CDN may have by now. */
  replayed(isAll: boolean): void {
    for (const [key, mode] of this.#unacknowledged) void this.#purges.add([key], mode);
    const since = this.#clock.now() - NOTED_MS;
    const recent = [...this.#invalidated].filter(([, at]) => at >= since).map(([key]) => key);
    if (recent.length > 0) void this.#purges.add(recent, "hard");
    if (isAll) this.#unacknowledged.clear();
  }

  close(): Promise<void> {
    return this.#purges.close();
  }

  async #purge(keys: readonly string[], mode: FollowedInvalidation["mode"], status: Status): Promise<Status> {
    if (keys.length === 0) return status;
    this.#note(keys);
    if (status === "pending") {
      for (const key of keys) if (this.#unacknowledged.get(key) !== "hard") this.#unacknowledged.set(key, mode);
      if (this.#unacknowledged.size > MOST_NOTED) {
        this.#unacknowledged.clear();
        this.#unacknowledged.set(this.#all, "hard");
      }
      return "pending";
    }
    const { isFailing } = this.#purges;
    const tried = this.#purges.add(keys, mode);
    if (isFailing) return "pending";
    return (await within(this.#clock, this.#cdn.timeoutMs, tried, () => false)) ? "done" : "pending";
  }

  /** Keys of the pages of this cache that depend on these tags of a namespace; of all, without tags. */
  #keysOf(path: readonly string[], tags: readonly string[]): readonly string[] {
    if (path.length > this.#path.length || !path.every((name, i) => this.#path[i] === name)) return [];
    return tags.length === 0 ? [this.#all] : tags.filter(isForCdn).map((tag) => keyOfTag(tag, this.#cdn.field));
  }

  #isOvertaken(keys: ReadonlySet<string>, startedAt: number | undefined): boolean {
    if (startedAt === undefined) return false;
    if (startedAt <= this.#forgottenAt) return true;
    for (const key of keys) if ((this.#invalidated.get(key) ?? -Infinity) >= startedAt) return true;
    return false;
  }

  #note(keys: readonly string[]): void {
    const now = this.#clock.now();
    for (const key of keys) {
      this.#invalidated.delete(key);
      this.#invalidated.set(key, now);
    }
    for (const [oldest, at] of this.#invalidated) {
      if (at > now - NOTED_MS && this.#invalidated.size <= MOST_NOTED) return;
      this.#invalidated.delete(oldest);
      this.#forgottenAt = at;
    }
  }
}

/** Tags by which this cache keeps the variants of a URL together are those of its own index. */
const isForCdn = (tag: string): boolean => !isOfFamily(tag);

function checkedCdn(cdn: Cdn): Cdn {
  if (typeof (cdn as Partial<Cdn> | null)?.purge === "function") return cdn;
  throw refusal('cdn must be one of "@hotset/http/cdn", such as cdn: fastly({ service, token })');
}

function placeOf(namespace: Namespace): NamespacePlace {
  return (namespace as unknown as { readonly [PLACE]: () => NamespacePlace })[PLACE]();
}

const PLACE: unique symbol = Symbol.for("hotset.place");

/** So long an answer may be under way, and so long a server that takes over may lack an invalidation. */
const NOTED_MS = 120_000;
const MOST_NOTED = 10_000;
