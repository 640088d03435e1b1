/**
 * Breaks one rule for a whole tree of processes: as modules of Node are loaded, and as other files are read. Modules of
 * the tests themselves are those of vite, whose own plugin breaks them.
 */
import fs from "node:fs";
import { registerHooks, syncBuiltinESMExports } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { withoutRule, type BrokenRule } from "./mutant.ts";

const given = process.env["HOTSET_BROKEN_RULE"] ?? "";
if (given !== "") breakRule(JSON.parse(given) as BrokenRule);

function breakRule(mutant: BrokenRule): void {
  const broken = resolve(import.meta.dirname, "../../..", mutant.file);
  if (/\.[cm]?[jt]s$/.test(broken)) breakModule(mutant, pathToFileURL(broken).href);
  else breakReads(mutant, broken);
}

function breakModule(mutant: BrokenRule, broken: string): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (url !== broken || loaded.source === undefined || loaded.source === null) return loaded;
      const text = typeof loaded.source === "string" ? loaded.source : Buffer.from(loaded.source as Uint8Array);
      return { ...loaded, source: withoutRule(text.toString(), mutant) };
    },
  });
}

function breakReads(mutant: BrokenRule, broken: string): void {
  const isBroken = (path: unknown): boolean =>
    path instanceof URL ? fileURLToPath(path) === broken : typeof path === "string" && resolve(path) === broken;
  const encoded = (text: string, options: unknown): string | Buffer =>
    options === undefined || options === null ? Buffer.from(text) : text;
  const { readFileSync } = fs;
  const { readFile } = fs.promises;
  const text = (): string => withoutRule(readFileSync(broken, "utf8"), mutant);
  fs.readFileSync = ((path: fs.PathOrFileDescriptor, options?: never) =>
    isBroken(path) ? encoded(text(), options) : readFileSync(path, options)) as typeof fs.readFileSync;
  fs.promises.readFile = (async (path: fs.PathLike, options?: never) =>
    isBroken(path) ? encoded(text(), options) : readFile(path, options)) as typeof fs.promises.readFile;
  syncBuiltinESMExports();
}
