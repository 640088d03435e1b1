import type { Product } from "../contenders/contender.ts";
import { isUndisturbed } from "../measure.ts";
import type { Journal } from "./results.ts";
import type { Conditions, Scenario, Side } from "./scenario.ts";

/** Runs one scenario with all contenders that are not in the journal yet. */
export async function runScenario(
  scenario: Scenario,
  products: readonly Product[],
  journal: Journal,
  conditions: Conditions,
): Promise<void> {
  const open = products.filter((product) => scenario.takesPart(product) && !journal.has(scenario.name, product.name));
  const rounds = scenario.rounds ?? journal.machine.rounds;
  if (scenario.isAlone === true) {
    for (const product of open) await together(scenario, [product], rounds, journal, conditions);
    return;
  }
  await together(scenario, open, rounds, journal, conditions);
}

const MOST_TIMES = 3;

async function together(
  scenario: Scenario,
  products: readonly Product[],
  rounds: number,
  journal: Journal,
  conditions: Conditions,
): Promise<void> {
  const sides: { readonly product: string; readonly side: Side }[] = [];
  const failed = new Set<string>();
  const fail = (product: string, error: unknown): void => {
    failed.add(product);
    const message = error instanceof Error ? error.message.split("\n")[0]! : String(error);
    journal.add({ scenario: scenario.name, product, round: "last", error: message });
    console.log(`  ${product}: ${message}`);
  };
  await each(products, scenario, async (product) => {
    try {
      sides.push({ product: product.name, side: await scenario.open(product, conditions) });
    } catch (error) {
      fail(product.name, error);
    }
  });
  const undisturbed = new Map<string, number>();
  const take = async (name: "round" | "last", round: number | "last"): Promise<void> =>
    each(sides, scenario, async ({ product, side }) => {
      const before = undisturbed.get(product) ?? 0;
      if (failed.has(product) || side[name] === undefined || (name === "round" && before === rounds)) return;
      try {
        journal.add({ scenario: scenario.name, product, round, metrics: await side[name]() });
        if (isUndisturbed()) undisturbed.set(product, before + 1);
      } catch (error) {
        fail(product, error);
      }
    });
  // A contender whose rounds were disturbed, by a neighbour of the virtual machine say, gets more of them.
  const most = scenario.rounds ?? MOST_TIMES * rounds;
  for (let round = 0; round < most; round += 1) await take("round", round);
  await take("last", "last");
  await Promise.all(sides.map(({ side }) => side.close()));
}

async function each<T>(all: readonly T[], { isParallel }: Scenario, act: (one: T) => Promise<void>): Promise<void> {
  if (isParallel === true) await Promise.all(all.map(act));
  else for (const one of all) await act(one);
}
