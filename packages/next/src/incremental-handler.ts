import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Computation } from "@hotset/core/adapter";
import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";
import { pageOfBuild } from "./build-pages.ts";
import type { NextBuildContext, NextPage, NextReadContext, NextWriteContext } from "./contexts.ts";
import type { Held } from "./held.ts";
import { keyIn } from "./keys.ts";
import { lifetimes } from "./lifetimes.ts";
import { keep, lookUp, revalidate } from "./look-up.ts";
import { judge, type Begun, type Kept } from "./tags.ts";
import { attempt } from "./warn.ts";

/** A handler of `cacheHandler`, for Next.js 15.5 and 16. No method throws. */
export interface IncrementalHandler {
  get(key: string, context: NextReadContext): Promise<NextPage | null>;
  set(key: string, value: IncrementalCacheValue | null, context: NextWriteContext): Promise<void>;
  /** @param durations `expire` in seconds, by default never; without durations, the entries end at once. */
  revalidateTag(tags: string | string[], durations?: { expire?: number | undefined }): Promise<void>;
  /** Does nothing: no state belongs to a request. */
  resetRequestCache(): void;
}

type Stored = Kept & NextPage;

const TAGS_FIELD = "x-next-cache-tags";
/** More keys than a build has pages, in most sites. */
const MAX_KEYS = 20_000;

export function incrementalHandler(held: () => Held): new (context: NextBuildContext) => IncrementalHandler {
  return class HotsetCacheHandler implements IncrementalHandler {
    readonly #build: NextBuildContext;
    /** The values that this request found missing and is making, by name. */
    readonly #makings: Makings = new Map();

    constructor(build: NextBuildContext) {
      this.#build = build;
    }

    async get(key: string, context: NextReadContext): Promise<NextPage | null> {
      const read = () => find(held(), this.#build, this.#makings, key, context);
      return (await attempt("a read failed: a miss", read)) ?? null;
    }

    async set(key: string, value: IncrementalCacheValue | null, context: NextWriteContext): Promise<void> {
      const kind = context.fetchCache === true ? "FETCH" : value?.kind;
      await attempt("a value is not stored", async () => {
        const name = nameOf(this.#build, kind, key);
        await store(
          held(),
          held().outside.of(name, this.#makings.get(name)),
          { lastModified: Date.now(), value },
          context,
        );
      });
    }

    async revalidateTag(tags: string | string[], durations?: { expire?: number | undefined }): Promise<void> {
      await revalidate(held, [tags].flat(), durations);
    }

    resetRequestCache(): void {}
  };
}

type Makings = Map<string, Computation<Begun>>;
type Question = [held: Held, build: NextBuildContext, makings: Makings, key: string, context: NextReadContext];

async function find(...[held, build, makings, key, context]: Question): Promise<NextPage | null> {
  const name = nameOf(build, context.kind, key);
  const isFirst = isFirstQuestion(held, name, context);
  const { tags = [], softTags = [] } = context.kind === "FETCH" ? context : {};
  const { entry, isMarked, making } = await lookUp<Stored>(held, name, () => held.outside.enter(name, makings), {
    tags,
    softTags,
    isUsable: (each) =>
      !isPast(each) && !build.revalidatedTags?.some((tag) => [...each.tags, ...tags, ...softTags].includes(tag)),
  });
  const built = entry === undefined && isFirst ? await findBuilt(held, build, making!, key, context) : null;
  // Also under the stale value of a page that is being made again.
  if (making !== undefined && makings.size < MAX_KEYS) makings.set(name, making);
  if (entry === undefined) return built;
  const { lastModified, value, cacheControl } = entry;
  const page: NextPage = { lastModified, value: copyOf(value), ...(cacheControl && { cacheControl }) };
  return isMarked ? asOld(page, context) : page;
}

/** 15.5 does not look at `expire` itself. */
const isPast = ({ lastModified, cacheControl }: NextPage): boolean =>
  Date.now() > lastModified + (cacheControl?.expire ?? Infinity) * 1_000;

/**
 * Next learns from its age alone that a value is stale: older than `revalidate`, and not as old as `expire`, it is
 * served once more and refreshed behind it.
 */
function asOld(found: NextPage, { kind, revalidate }: NextReadContext): NextPage | null {
  const after = kind === "FETCH" ? revalidate || (found.value as { revalidate?: number } | null)?.revalidate : 1;
  if (after === undefined) return null;
  const cacheControl = { ...found.cacheControl!, revalidate: after };
  return { ...found, lastModified: Date.now() - after * 1_000 - 1, cacheControl };
}

/**
 * A page of the build answers only the first question of a process: later, one that is not there was lost or
 * invalidated.
 */
function isFirstQuestion({ asked }: Held, name: string, { kind, isFallback }: NextReadContext): boolean {
  const question = `${isFallback === true} ${name}`;
  if (kind === "FETCH" || kind === "IMAGE" || asked.size >= MAX_KEYS || asked.has(question)) return false;
  asked.add(question);
  return true;
}

async function findBuilt(
  held: Held,
  build: NextBuildContext,
  making: Computation<Begun>,
  key: string,
  context: NextReadContext,
): Promise<NextPage | null> {
  const found = await pageOfBuild(build, key, context);
  if (found === null) return null;
  const changes = await held.tags.changes(tagsOf(found.value));
  // In an outage they are unknown.
  const isDown = held.cache.stats().tiers.some(({ state }) => state === "down");
  if (isDown || judge(changes, { at: found.lastModified }) !== "fresh") return null;
  await store(held, making, found, { cacheControl: found.cacheControl });
  return found;
}

async function store(
  held: Held,
  making: Computation<Begun>,
  found: NextPage,
  context: NextWriteContext,
): Promise<void> {
  const { lastModified, value } = found;
  const { cacheControl, tags = tagsOf(value) } = context;
  const revalidate = value?.kind === "FETCH" ? value.revalidate : cacheControl?.revalidate;
  const life = lifetimes(revalidate, cacheControl?.expire);
  if (life.staleIfError <= 0) return held.outside.end(making);
  const stored = { at: lastModified, lastModified, value: copyOf(value), tags, ...(cacheControl && { cacheControl }) };
  await keep(held, making, stored, life);
}

function tagsOf(value: IncrementalCacheValue | null): readonly string[] {
  if (value?.kind === "FETCH") return value.tags ?? [];
  const field = (value as { headers?: Record<string, unknown> } | null)?.headers?.[TAGS_FIELD];
  return typeof field === "string" ? field.split(",").filter(Boolean) : [];
}

/** Next removes header fields from what it gave and got. */
function copyOf(value: IncrementalCacheValue | null): IncrementalCacheValue | null {
  if (value === null) return null;
  return "headers" in value && value.headers ? { ...value, headers: { ...value.headers } } : { ...value };
}

/** Pages belong to one build. A result of `fetch` and an image outlive it, as in Next. */
function nameOf(build: NextBuildContext, kind: string | undefined, key: string): string {
  if (kind === "FETCH") return keyIn("fetch:", key);
  return kind === "IMAGE" ? keyIn("image:", key) : keyIn(`page:${buildIdOf(build)}:`, key);
}

const buildIds = new Map<string, string>();

function buildIdOf({ serverDistDir: folder = "" }: NextBuildContext): string {
  try {
    if (folder !== "" && !buildIds.has(folder))
      buildIds.set(folder, readFileSync(join(folder, "..", "BUILD_ID"), "utf8").trim());
  } catch {
    // `next dev` has none, and reads no pages.
  }
  return buildIds.get(folder) ?? "development";
}
