import type { NextBuildContext, NextPage, NextReadContext } from "./contexts.ts";

/** As long as a deployment may take; later, a page that is not there is rendered. */
const USED_FOR_MS = 86_400_000;

/** A page that `next build` wrote to the disk, as Next's own handler reads it. */
export async function pageOfBuild(
  build: NextBuildContext,
  key: string,
  context: NextReadContext,
): Promise<NextPage | null> {
  const { fs, serverDistDir, dev } = build;
  if (fs === undefined || serverDistDir === undefined || dev === true) return null;
  const files = new (await fileSystemCache())({ fs, serverDistDir, flushToDisk: false, revalidatedTags: [] });
  const found = await files.get(key, context);
  return found?.value == null || Date.now() - found.lastModified > USED_FOR_MS ? null : found;
}

type Files = new (options: object) => { get(key: string, context: NextReadContext): Promise<NextPage | null> };

async function fileSystemCache(): Promise<Files> {
  // A module of CommonJS: its exports are the default of the namespace, or the namespace.
  const { default: exported } = await import("next/dist/server/lib/incremental-cache/file-system-cache.js");
  return ("default" in exported ? exported.default : exported) as unknown as Files;
}
