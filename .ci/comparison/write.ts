// Writes docs/migrating/comparison.md.
//
//   npm run write -- comparison

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderComparison } from "./page.ts";
import { TABLES } from "./tables.ts";

export const COMPARISON: string = join(import.meta.dirname, "../../docs/migrating/comparison.md");

/** The folder of an installed package. */
export function folderOf(peer: string): string {
  return join(import.meta.dirname, "../node_modules", peer);
}

export function installedVersions(): Readonly<Record<string, string>> {
  const peers = [...new Set(TABLES.flatMap((table) => table.peers))];
  return Object.fromEntries(peers.map((peer) => [peer, versionOf(peer)]));
}

function versionOf(peer: string): string {
  return (
    JSON.parse(readFileSync(join(folderOf(peer), "package.json"), "utf8")) as { version: string }
  ).version.replace("v", "");
}

if (import.meta.main) writeFileSync(COMPARISON, renderComparison(installedVersions()));
