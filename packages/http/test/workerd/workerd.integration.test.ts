/** hotset in workerd, the runtime of Cloudflare Workers, with many requests at a time. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, assert, beforeAll, it } from "vitest";
import { bundleForWorker, startWorkerd, type Workerd } from "./workerd.ts";

// Before 2024-10-14 no request may settle the promise of another: each loads for itself. The last has modules of Node.
const COMPATIBILITIES = [
  { date: "2024-01-01", flags: [], shares: false },
  { date: "2024-10-20", flags: [], shares: true },
  { date: "2024-10-20", flags: ["nodejs_compat"], shares: true },
  { date: "2026-04-20", flags: [], shares: true },
  { date: "2026-04-20", flags: ["nodejs_compat"], shares: true },
  { date: "2026-11-17", flags: [], shares: true },
] as const;
const NAMED = COMPATIBILITIES.map((each, i) => ({
  ...each,
  ...{ i, name: [each.date, ...each.flags].join(", "), hasNode: each.flags.length > 0 || each.date > "2026-08" },
}));
const TOGETHER = 20;

let workerd: Workerd;

beforeAll(async () => {
  const source = readFileSync(join(import.meta.dirname, "program.js"), "utf8");
  const code = await bundleForWorker(`${source}export { worker as default };`, join(import.meta.dirname, "../.."));
  assert.notMatch(code, /require\(|from\s*"node:|import\(/);
  workerd = await startWorkerd(code, COMPATIBILITIES);
});

afterAll(() => workerd[Symbol.dispose]());

const ask = async (url: string): Promise<string> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(60_000) });
  return `${response.status} ${await response.text()}`;
};

it.concurrent.for(NAMED)(
  "requests at one time are all answered, by one load: workerd, $name",
  async ({ i, shares, hasNode }, { expect }) => {
    const url = workerd.urls[i]!;
    const together = async (path: string): Promise<readonly string[]> =>
      [...new Set(await Promise.all(Array.from({ length: TOGETHER }, () => ask(url + path))))].toSorted();

    for (const [path, text] of Object.entries({
      "/page": "page",
      "/at-once": "at once",
      "/private": "private",
      "/body": "one two three",
      "/varied": "varied",
      "/turns": "turn",
    }))
      expect([path, ...(await together(path))]).toEqual([path, `200 ${text}`]);
    const joined = [await together("/joined"), await together("/batch")];
    if (shares) expect(joined).toEqual([["200 joined 1"], ["200 a 1,b 1"]]);
    else for (const each of joined.flat()) expect(each).toMatch(/^200 (?:joined \d+|a \d+,b \d+)$/);
    const runs = JSON.parse((await ask(`${url}/runs`)).slice(4)) as Record<string, number>;
    if (shares) expect(runs).toMatchObject({ "/page": 1, "/at-once": 1, "/body": 1, "/varied": 2, joined: 1 });
    expect(await ask(`${url}/hangs`)).toBe("200 LOAD_TIMEOUT");
    expect(await ask(`${url}/set`)).toBe("200 set");
    const tagged = await ask(`${url}/tagged`);
    expect([await ask(`${url}/tagged`), await ask(`${url}/ended`)]).toEqual([tagged, "200 1,1,2"]);
    expect(await ask(`${url}/tagged`)).not.toBe(tagged);
    const inherits = hasNode ? /^200 1$/ : /inherit needs AsyncLocalStorage/;
    expect(await ask(`${url}/inherits`)).toMatch(inherits);
  },
);

it.concurrent.for(NAMED)(
  "H104: a load runs in the async context of no client: workerd, $name",
  async ({ i }, { expect }) => {
    expect(await ask(`${workerd.urls[i]!}/user`)).toBe("200 nobody");
  },
);

it.concurrent.for(NAMED)("what ended with its request is loaded again: workerd, $name", async ({ i }, { expect }) => {
  const url = workerd.urls[i]!;
  expect(await ask(`${url}/refreshed`)).toBe("200 refreshed 1");
  await sleep(100);
  expect(await ask(`${url}/refreshed`)).toMatch(/^200 refreshed \d$/);
  // A client that leaves in the middle of the body. The worker goes on with it for half a minute at most.
  const leaves = new AbortController();
  const response = await fetch(`${url}/broken`, { signal: leaves.signal });
  await response.body!.getReader().read();
  leaves.abort();
  await sleep(2_500);
  const answers = await Promise.all([ask(`${url}/refreshed`), ask(`${url}/refreshed`), ask(`${url}/broken`)]);
  for (const each of answers.slice(0, 2)) expect(each).toMatch(/^200 refreshed \d$/);
  expect(answers[2]).toBe("200 one two three");
});

it.concurrent.for(NAMED)(
  "`waitUntil` keeps loads in the background alive: workerd, $name",
  async ({ i }, { expect }) => {
    const url = workerd.urls[i]!;
    // The load of a place with variants may run the handler twice.
    const first = await ask(`${url}/stale`);
    expect(first).toMatch(/^200 stale [12]$/);
    expect(await ask(`${url}/waited-for`)).toBe("200 waited for 1");
    await expect.poll(() => ask(`${url}/stale`), { interval: 200 }).not.toBe(first);
    await expect.poll(() => ask(`${url}/waited-for`), { interval: 200 }).not.toBe("200 waited for 1");
  },
);
