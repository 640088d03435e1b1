/**
 * Loaded into a process before all other modules: breaks the rule in HOTSET_BROKEN_RULE as its file is read. Nothing is
 * written.
 */
import { registerHooks } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { withoutRule, type BrokenRule } from "./mutant.ts";

const mutant = JSON.parse(process.env["HOTSET_BROKEN_RULE"]!) as BrokenRule;
const broken = pathToFileURL(resolve(import.meta.dirname, "../../..", mutant.file)).href;

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (url !== broken) return loaded;
    const text =
      typeof loaded.source === "string" ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString("utf8");
    return { ...loaded, source: withoutRule(text, mutant) };
  },
});
