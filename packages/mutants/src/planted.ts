import type { BrokenRule } from "./mutant.ts";

/** The environment that makes a process of Node, and those that it starts, run over sources without a rule. */
export const planted = (rule: BrokenRule): { readonly HOTSET_BROKEN_RULE: string; readonly NODE_OPTIONS: string } => ({
  HOTSET_BROKEN_RULE: JSON.stringify(rule),
  NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} --import=${new URL("plant.ts", import.meta.url).href}`,
});
