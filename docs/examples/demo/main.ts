// npm run demo: three processes share one cache, over a Redis that is killed and frozen meanwhile; they are driven for
// some seconds, and the results are checked. npm start: one of them with customers, and buttons that make trouble,
// until Ctrl-C.

import { once } from "node:events";
import { CacheError } from "hotset";
import { parseArguments, portOf, USAGE, UsageError, type DemoArguments } from "./arguments.ts";
import { temporaryCatalogue } from "./catalogue.ts";
import { drive } from "./drive.ts";
import { checklist, judge, table } from "./report.ts";
import { Shop } from "./shop.ts";
import { openStore, type DemoStore } from "./store.ts";
import { Troubles } from "./troubles.ts";

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    interrupt.abort();
    // The second one ends the process at once.
    process.once(signal, () => process.exit(130));
  });
}
// The reader has ended: `npm run demo | head`.
process.stdout.on("error", () => interrupt.abort());

try {
  process.exitCode = await main(parseArguments(process.argv.slice(2)));
} catch (error) {
  if (interrupt.signal.aborted) process.exitCode = 130;
  else if (error instanceof UsageError) {
    console.error(`${error.message}\n--help lists the options`);
    process.exitCode = 2;
  } else {
    console.error(explain(error));
    process.exitCode = 1;
  }
}

/** @returns the exit code. */
async function main(args: DemoArguments): Promise<number> {
  if (args.helps) {
    console.log(USAGE);
    return 0;
  }
  const port = args.serves ? portOf(process.env) : 0;
  await using store = await openStore(args, process.env, (text) => console.log(text));
  interrupt.signal.throwIfAborted();
  // Awaited here: `store` is disposed on return, and is in use until then.
  return await (args.serves ? serve(store, port) : driveAndJudge(args, store));
}

async function driveAndJudge(args: DemoArguments, store: DemoStore): Promise<number> {
  console.log(`${args.processes} processes, each with memory over ${store.description}\n`);
  const run = await drive(args, { store, signal: interrupt.signal });
  const checks = judge(run);
  console.log(["", ...table(run), "", ...checklist(checks)].join("\n"));
  return checks.every(({ passed }) => passed) ? 0 : 1;
}

async function serve(store: DemoStore, port: number): Promise<number> {
  const products = ["kettle", "teapot", ...Array.from({ length: 40 }, (_, i) => `cup-${i + 1}`)];
  await using catalogue = await temporaryCatalogue(products);
  let troubles: Troubles | undefined;
  const shop = await Shop.start({
    store: store.options,
    format: "json",
    folder: catalogue.folder,
    port,
    hasInspector: true,
    answer: (request, response) => troubles?.answer(request, response) ?? false,
  });
  troubles = new Troubles({ cache: shop.cache, catalogue, products, own: store.own });
  console.log(
    `memory over ${store.description}\n\nlistening on ${shop.url}/, with buttons that make trouble\n  curl -i ${shop.url}/prices/kettle\n  ${shop.url}/hotset/   shows its cache\nCtrl-C ends it`,
  );
  await once(interrupt.signal, "abort");
  await troubles.close();
  await shop.close();
  return 0;
}

/** The text of an error, without a stack if the message says what to do. */
function explain(error: unknown): string {
  if (error instanceof CacheError) return `${error.code}: ${error.message}`;
  if ((error as NodeJS.ErrnoException).code === "EADDRINUSE")
    return `${(error as Error).message}; set PORT to another port`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
