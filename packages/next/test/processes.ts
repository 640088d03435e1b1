import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NextBuildContext, IncrementalHandler, UseCacheHandler } from "@hotset/next";
import { scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { createCache, memory, msgpack, type Cache } from "hotset";
import { vi } from "vitest";
import { open, type Held } from "../src/held.ts";
import { incrementalHandler } from "../src/incremental-handler.ts";
import { useCacheHandler } from "../src/use-cache-handler.ts";

export interface Process {
  readonly held: Held;
  readonly backend: ScriptedBackend;
  readonly isr: IncrementalHandler;
  readonly useCache: UseCacheHandler;
  /** As Next makes one for each request. */
  handler(build?: NextBuildContext): IncrementalHandler;
}

const caches: Cache[] = [];
const folders: string[] = [];

/** Two processes over one backend, whose time moves when the test says so. */
export function twoProcesses(): { readonly a: Process; readonly b: Process; advance(ms: number): Promise<void> } {
  const clock = new TestClock();
  vi.useFakeTimers({ toFake: ["Date"], now: clock.epochMs() });
  const first = scriptedBackend({
    ...{ clock, format: msgpack(), coherence: "reported", tagVersions: true, leases: true },
  });
  return {
    a: processOver(first, clock),
    b: processOver(first.peer(), clock),
    async advance(ms) {
      // Work under way would take as long.
      await settled();
      clock.advance(ms);
      vi.setSystemTime(clock.epochMs());
      await settled();
    },
  };
}

/** Changes of one process have reached the other. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

function processOver(backend: ScriptedBackend, clock: TestClock): Process {
  const held = open(() => createCache({ name: "next", clock }).tier(memory()).tier(backend).build());
  caches.push(held.cache);
  const CacheHandler = incrementalHandler(() => held);
  const handler = (build: NextBuildContext = {}) => new CacheHandler(build);
  return { held, backend, handler, isr: handler(), useCache: useCacheHandler(() => held) };
}

export function newFolder(): string {
  folders.push(mkdtempSync(join(tmpdir(), "hotset-next-")));
  return folders.at(-1)!;
}

export async function closeAll(): Promise<void> {
  vi.useRealTimers();
  await Promise.all(caches.splice(0).map((cache) => cache.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
}
