import type { Finding } from "../data/pages.ts";
import { DEPARTURES } from "./departures.ts";
import { LOADS } from "./loads.ts";
import type { Picture } from "./picture.ts";
import { STATES } from "./present.ts";
import type { Found, Rule } from "./rule.ts";
import { SERVERS } from "./servers.ts";
import { sumOf } from "./texts.ts";
import { WRONG_VALUES } from "./wrong-values.ts";

// Everything that the overview, the log of a service, `hotset doctor` and `hotset top` find about caches: one table,
// which the guide shows. Figures are rates of the last minute, against the time before.

/** The table, errors and warnings mixed. */
export const RULES: readonly Rule[] = [...DEPARTURES, ...LOADS, ...WRONG_VALUES, ...STATES, ...SERVERS];

const RANK = { error: 0, warning: 1 } as const;

/** The findings of this picture, errors first. */
export function findings(picture: Picture, now: number): readonly Finding[] {
  const all = RULES.flatMap((rule) => merged(rule.find(picture, now)).map((found) => findingOf(rule, found)));
  // A tier that is down says the same.
  const isSaid = all.some(({ rule, page }) => rule !== "redis" && page === "redis");
  const restarting = new Set(
    all.filter(({ rule }) => rule === "restarts").map(({ id }) => id.slice("restarts ".length)),
  );
  return (
    all
      .filter(({ id }) => !(isSaid && id === "redis silence"))
      // One that ends soon after each start is silent in between.
      .filter(({ rule, id }) => rule !== "silent" || !restarting.has(id.slice("silent ".length)))
      .toSorted((one, other) => RANK[one.level] - RANK[other.level])
  );
}

/** Merges the same finding of several processes into one, with the text of the worst. */
function merged(list: readonly Found[]): readonly (Omit<Found, "process"> & { readonly on: readonly string[] })[] {
  const groups = new Map<string, Found & { readonly on: string[] }>();
  for (const found of list) {
    const id = `${found.cache} ${found.subject}`;
    const known = groups.get(id);
    const on = known?.on ?? [];
    if (found.process !== undefined && !on.includes(found.process)) on.push(found.process);
    // Of this process first, and of the present.
    if (known === undefined || (found.level ?? "warning") < (known.level ?? "warning") || found.weight > known.weight)
      groups.set(id, { ...found, on });
  }
  return [...groups.values()];
}

function findingOf(rule: Rule, found: ReturnType<typeof merged>[number]): Finding {
  const { cache, on, text, subject, weight, level = rule.level, page = rule.page, remedy = rule.remedy } = found;
  const where = cache === undefined ? "" : `${cache}${on.length === 0 ? "" : ` on ${sumOf(on)}`}: `;
  const id = [rule.name, cache, subject].filter((each) => each !== undefined && each !== "").join(" ");
  return { rule: rule.name, id, level, page, text: where + text, remedy, by: found.by ?? on, weight };
}

/** The list of the guide; remedies are shown with the findings. */
export const rulesList = (): string => RULES.map(({ what, when }) => `- ${what}: ${when}`).join("\n");
