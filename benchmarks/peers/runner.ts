import type { Product } from "../contenders/contender.ts";
import type { Journal } from "./results.ts";
import type { Conditions, Scenario, Side } from "./scenario.ts";

/** Runs one scenario with all contenders that are not in the journal yet. */
export async function runScenario(
  scenario: Scenario,
  products: readonly Product[],
  journal: Journal,
  conditions: Conditions,
  only?: "counts",
): Promise<void> {
  const open = products.filter((product) => scenario.takesPart(product) && !journal.has(scenario.name, product.name));
  const isTimed = scenario.open !== undefined && only === undefined;
  const groups = scenario.isAlone === true ? open.map((product) => [product]) : [open];
  if (isTimed) for (const group of groups) await time(scenario, group, journal, conditions);
  if (scenario.counts !== undefined) await count(scenario, open, journal, conditions);
}

/** A contender whose rounds are all disturbed gets this many times the rounds. */
const MOST_TIMES = 3;

async function time(
  scenario: Scenario,
  products: readonly Product[],
  journal: Journal,
  conditions: Conditions,
): Promise<void> {
  const sides: { readonly product: string; readonly side: Side }[] = [];
  const failed = new Set<string>();
  const fail = (product: string, error: unknown): void => {
    failed.add(product);
    reportFailure(journal, scenario, product, error);
  };
  await each(products, scenario, async (product) => {
    try {
      sides.push({ product: product.name, side: await scenario.open!(product, conditions) });
    } catch (error) {
      fail(product.name, error);
    }
  });
  const rounds = scenario.rounds ?? journal.machine.rounds;
  const most = scenario.rounds ?? MOST_TIMES * rounds;
  const undisturbed = new Map<string, number>();
  for (let round = 0; round < most; round += 1)
    await each(sides, scenario, async ({ product, side }) => {
      const before = undisturbed.get(product) ?? 0;
      if (failed.has(product) || before === rounds) return;
      try {
        journal.add({ scenario: scenario.name, product, round, metrics: await side.round() });
        if (conditions.isUndisturbed()) undisturbed.set(product, before + 1);
      } catch (error) {
        fail(product, error);
      }
    });
  await Promise.all(sides.map(({ side }) => side.close()));
}

async function count(
  scenario: Scenario,
  products: readonly Product[],
  journal: Journal,
  conditions: Conditions,
): Promise<void> {
  for (const product of products) {
    if (journal.hasFailed(scenario.name, product.name)) continue;
    try {
      const metrics = await scenario.counts!(product, conditions);
      journal.add({ scenario: scenario.name, product: product.name, round: "last", metrics });
    } catch (error) {
      reportFailure(journal, scenario, product.name, error);
    }
  }
}

function reportFailure(journal: Journal, scenario: Scenario, product: string, error: unknown): void {
  const message = error instanceof Error ? error.message.split("\n")[0]! : String(error);
  journal.add({ scenario: scenario.name, product, round: "last", error: message });
  console.log(`  ${product}: ${message}`);
}

async function each<T>(all: readonly T[], { isParallel }: Scenario, act: (one: T) => Promise<void>): Promise<void> {
  if (isParallel === true) await Promise.all(all.map(act));
  else for (const one of all) await act(one);
}
