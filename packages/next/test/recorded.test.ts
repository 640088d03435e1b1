import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { NextReadContext, NextWriteContext, UseCacheEntry } from "@hotset/next";
import { afterEach, expect, it } from "vitest";
import { closeAll, settled, twoProcesses, type Process } from "./processes.ts";

afterEach(closeAll);

/** A call, as Next made it in an application of `npm run tool -- adapters next`. Long texts are cut. */
interface Call {
  readonly seam: "isr" | "use";
  readonly call: "get" | "set" | "revalidateTag" | "updateTags" | "expireTags";
  readonly key: string;
  readonly found?: boolean;
  readonly context: NextReadContext & NextWriteContext;
  readonly softTags: string[];
  readonly value: null;
  readonly entry: Omit<UseCacheEntry, "value"> & { readonly value: Buffer<ArrayBuffer> };
  readonly parameters: never;
}

it.each(["15.5.29", "16.4.6"])(
  "C582, C583: calls of Next %s, by turns of two processes, find what they found",
  async (version) => {
    const { a, b, advance } = twoProcesses();
    const stored = new Map<string, unknown>();
    const readers = new Map<string, Process>();
    for (const [i, { seam, call, key, ...given }] of recorded(version).entries()) {
      // The process that read is the one that writes.
      const { isr, useCache } = (call === "set" ? readers.get(key) : undefined) ?? (i % 2 === 0 ? a : b);
      if (call === "get") readers.set(key, i % 2 === 0 ? a : b);
      await advance(10);
      if (call === "set") stored.set(key, seam === "isr" ? given.value : given.entry.value);
      if (call === "get") {
        const found = seam === "isr" ? await isr.get(key, given.context) : await useCache.get(key, given.softTags);
        expect([i, call, key, Boolean(found)]).toEqual([i, call, key, given.found]);
        const value =
          seam === "isr"
            ? found?.value
            : found && (await bytesOf(found.value as ReadableStream<Uint8Array<ArrayBuffer>>));
        if (given.found === true) expect(value).toEqual(stored.get(key));
      } else if (seam === "isr" && call === "set") await isr.set(key, given.value, given.context);
      else if (call === "set") {
        const value = new Response(given.entry.value).body!;
        await useCache.set(key, Promise.resolve({ ...given.entry, timestamp: Date.now(), value }));
      } else if (call === "revalidateTag") await isr.revalidateTag(...(given.parameters as [string]));
      else if (call === "updateTags") await useCache.updateTags(...(given.parameters as [string[]]));
      else await useCache.expireTags(...(given.parameters as string[]));
      await settled();
    }
  },
);

function recorded(version: string): Call[] {
  const text = readFileSync(join(import.meta.dirname, `calls-${version}.json`), "utf8");
  return JSON.parse(text, (_key, value: unknown) => {
    const { $bytes, $map } = (value ?? {}) as { $bytes?: string; $map?: [string, unknown][] };
    if ($bytes !== undefined) return Buffer.from($bytes, "base64");
    return $map === undefined ? value : new Map($map);
  }) as Call[];
}

const bytesOf = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Buffer> =>
  Buffer.from(await new Response(stream).arrayBuffer());
