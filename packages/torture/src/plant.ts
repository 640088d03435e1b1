/**
 * Loaded into a process before all other modules: breaks the rule of the mutant that HOTSET_MUTANT names, as its file
 * is read.
 */
import { registerHooks } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { withoutRule } from "@hotset/mutants/mutant";
import { MUTANTS } from "./mutants.ts";

const name = process.env["HOTSET_MUTANT"];
const mutant = MUTANTS.find((each) => each.name === name);
if (mutant === undefined) throw new Error(`HOTSET_MUTANT: unknown mutant ${JSON.stringify(name)}`);
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
