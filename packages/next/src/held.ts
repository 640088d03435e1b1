import { OutsideValues } from "@hotset/core/adapter";
import { createCache, memory, type Cache } from "hotset";
import { Tags, type Begun } from "./tags.ts";

/** The state that both handlers share. */
export interface Held {
  readonly cache: Cache;
  readonly tags: Tags;
  readonly outside: OutsideValues<Begun>;
  /** Which of the two a visitor waits for at a write. */
  readonly wait: "memory" | "backend";
  /** Keys of pages that this process has asked for, until there are too many. */
  readonly asked: Set<string>;
}

const HELD = Symbol.for("hotset.next");

/** Next loads a handler into several graphs of modules: there is one cache for all of them. */
export function holder(build: () => Cache): () => Held {
  const process_ = globalThis as { [HELD]?: Held };
  return () => (process_[HELD] ??= open(build));
}

export function open(build: () => Cache): Held {
  // Several processes build, and none of them needs what another has: no connection is opened.
  const isBuild = process.env["NEXT_PHASE"] === "phase-production-build";
  const cache = isBuild ? createCache({ name: "build" }).tier(memory()).build() : build();
  // Entries are counted in memory alone.
  const wait = cache.stats().tiers[0]?.entries === undefined ? "backend" : "memory";
  return { cache, tags: new Tags(cache), outside: new OutsideValues(cache), wait, asked: new Set() };
}
