import { writeFileSync } from "node:fs";
import {
  forkScript,
  RespClient,
  startOwnRedis,
  startProxy,
  type OwnRedis,
  type ScriptProcess,
} from "@hotset/test-servers";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startChromium } from "./support/chromium.ts";
import type { handlers } from "./support/incident-service.ts";
import { expectAccessible, visit, type Visit } from "./support/opened.ts";

// Twelve incidents over three processes, in random order: each is named with its cause in the first view of web-1.
// Windows are a fifth of those of production.

const MOST_MS = 30_000;
/** For `hotset doctor`. */
const DOCTOR_MS = 15_000;

let redis: OwnRedis;
let admin: RespClient;
let proxy: Awaited<ReturnType<typeof startProxy>>;
let browser: Browser;
let desktop: Visit;
let url: string;
const [web1, web2, web3] = ["web-1", "web-2", "web-3"].map(() =>
  forkScript<typeof handlers>(new URL("support/incident-service.ts", import.meta.url)),
) as [ScriptProcess<typeof handlers>, ScriptProcess<typeof handlers>, ScriptProcess<typeof handlers>];
const all = [web1, web2, web3];
const doctors = forkScript<{ doctor(redisUrl: string): Promise<string> }>(
  new URL("../../cli/test/doctor-process.ts", import.meta.url),
);

beforeAll(async () => {
  [redis, browser] = await Promise.all([startOwnRedis(), startChromium()]);
  admin = RespClient.fromUrl(redis.url);
  // Only web-3 is cut off.
  proxy = await startProxy(Number(new URL(redis.url).port));
  const urls = await Promise.all([
    web1.call("start", redis.url, "web-1"),
    web2.call("start", redis.url, "web-2"),
    web3.call("start", proxy.url, "web-3"),
  ]);
  url = urls[0];
  desktop = await visit(browser, url);
  // Something to compare with.
  await new Promise((resolve) => setTimeout(resolve, 8_000));
});
afterAll(async () => {
  await Promise.all([...all, doctors].map((service) => service.kill()));
  await proxy?.[Symbol.asyncDispose]();
  admin?.close();
  await browser?.close();
  await redis?.[Symbol.asyncDispose]();
});

interface Incident {
  readonly name: string;
  begin(): unknown;
  end?(): unknown;
  /** In the first view. */
  readonly seen: RegExp;
  /** Whether a service reports it by `onFinding`. @default true */
  readonly isSaid?: boolean;
  /** In what `hotset doctor` prints. @default as `seen` */
  readonly doctor?: RegExp;
  /** In the log of a service. @default none */
  readonly log?: RegExp;
}

/** Whether doctor and the log name an incident, and when the page does. */
const named: Record<
  string,
  { readonly seconds: number; readonly doctorSeconds: number; readonly doctor: boolean; readonly log: boolean }
> = {};

const INCIDENTS: readonly Incident[] = [
  {
    name: "frozen Redis",
    log: /redis is down/,
    doctor: /no answer within 5000 ms/,
    begin: () => redis.pause(),
    end: () => redis.resume(),
    seen: /redis has been down for .*no answer/,
  },
  {
    name: "full Redis",
    log: /was refused: OOM/,
    doctor: /% of maxmemory is used, and nothing is evicted/,
    begin: () => admin.command("CONFIG", "SET", "maxmemory", "1mb"),
    end: () => admin.command("CONFIG", "SET", "maxmemory", "0"),
    seen: /redis is up, but writes are refused: its memory is full: .*OOM/,
  },
  {
    name: "lost connection",
    log: /redis is down/,
    begin: () => proxy.refuse().then(() => proxy.cut()),
    end: () => proxy.pass(),
    seen: /web-3 has been silent for/,
    // By those that it left.
    isSaid: false,
  },
  {
    name: "failing tenant",
    begin: () => web1.call("failTenant"),
    seen: /loads of tenant:acme failed in the last .*db: connection refused/,
  },
  { name: "rewritten key", begin: () => web3.call("rewriteKey"), seen: /key "price › EUR" was .* by web-3/ },
  { name: "tag loop", begin: () => web2.call("loopTag"), seen: /tag "product:0" was .* by web-2/ },
  {
    name: "stampede",
    begin: () => web2.call("stampede"),
    seen: /150 callers of "report › daily" wait(?:ed)? for one load/,
  },
  {
    name: "slow loads",
    begin: () => web2.call("slowInvoices"),
    seen: /on web-2: loads of invoice take 2\.\d s .*slowest is "invoice › web-2/,
  },
  {
    name: "another format",
    log: /cannot be read: its format is "v8"/,
    begin: () => web3.call("otherFormat"),
    seen: /redis is up, but entries cannot be read: \d+ errors/,
  },
  {
    name: "hit ratio",
    begin: () => web2.call("stampInSearch"),
    seen: /on .*web-2.*: the hit ratio of search is [\d.]+ %, (?:\d\d(?:\.\d)?|100) % before/,
  },
  {
    name: "tiny memory",
    begin: () => web2.call("manyPictures"),
    seen: /on web-2: memory is full: .* 50 of 50 entries/,
  },
  { name: "large value", begin: () => web3.call("largeValue"), seen: /on web-3: "doc › 1" has 5 MB/ },
];

const order = INCIDENTS.toSorted(() => Math.random() - 0.5);

describe("an incident is named in the first view, with what to do", () => {
  it.each(order)("$name", async ({ name, begin, end, seen, isSaid = true, doctor = seen, log }) => {
    const { page } = desktop;
    const finding = page
      .getByRole("list", { name: "What stands out" })
      .getByRole("listitem")
      .filter({ hasText: seen })
      .first();
    await nothingLeft();
    // An earlier incident may have had the same effect: that ends first.
    await expect.poll(() => finding.count(), { timeout: MOST_MS }).toBe(0);
    await textsOf("logged");
    const begunAt = Date.now();
    await begin();
    try {
      await finding.getByText(/What to do: /).waitFor({ timeout: MOST_MS });
      const seconds = Math.round((Date.now() - begunAt) / 1_000);
      const askedAt = Date.now();
      await pictureOf(name);
      const printed = await doctorOf(redis.url);
      const doctorSeconds = Math.round((Date.now() - askedAt) / 1_000);
      if (isSaid)
        await expect.poll(said, { timeout: MOST_MS, interval: 500 }).toContainEqual(expect.stringMatching(seen));
      const lines = await textsOf("logged");
      keep(`${name}.txt`, `${printed}\n\n${lines.join("\n")}`);
      named[name] = {
        seconds,
        doctorSeconds,
        doctor: doctor.test(printed),
        log: log !== undefined && lines.some((line) => log.test(line)),
      };
    } finally {
      await Promise.all(all.map((service) => service.call("end")));
      await end?.();
    }
    if (end !== undefined) await finding.waitFor({ state: "detached" });
  });

  it("at least ten of twelve are in the log, or in what hotset doctor prints in 15 s", () => {
    keep("table.json", JSON.stringify(named, undefined, 2));
    expect(Object.keys(named).length).toBe(INCIDENTS.length);
    expect(
      Object.values(named).filter(({ doctor, log }) => doctor || log).length,
      JSON.stringify(named),
    ).toBeGreaterThanOrEqual(10);
  });

  it("and is in the list of the last hour when it is over; axe finds nothing", async () => {
    const { seen } = INCIDENTS.find(({ name }) => name === "stampede")!;
    await desktop.page.getByText("In the last hour").waitFor();
    await desktop.page.locator(".past li").filter({ hasText: seen }).first().waitFor();
    await expectAccessible(desktop.page);
    expect(desktop.wrong).toEqual([]);
  });
});

async function textsOf(kind: "said" | "logged"): Promise<readonly string[]> {
  return (await Promise.all(all.map((service) => service.call(kind)))).flat();
}

/** By all services, of all incidents: one may begin as the effect of another. */
async function said(): Promise<readonly string[]> {
  texts.push(...(await textsOf("said")));
  return texts;
}

const texts: string[] = [];

/** The text that it prints in time. */
const doctorOf = (redisUrl: string): Promise<string> =>
  Promise.race([
    doctors.call("doctor", redisUrl),
    new Promise<string>((resolve) => setTimeout(resolve, DOCTOR_MS, "")),
  ]);

/** For people: `INCIDENTS_TO=folder` keeps what was shown. */
const FOLDER = process.env["INCIDENTS_TO"];

function keep(file: string, text: string): void {
  if (FOLDER !== undefined) writeFileSync(`${FOLDER}/${file.replaceAll(" ", "-")}`, text);
}

async function pictureOf(name: string): Promise<void> {
  if (FOLDER === undefined) return;
  const { page } = desktop;
  for (const colorScheme of ["light", "dark"] as const)
    for (const width of [390, 1_280]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      await page.screenshot({ path: `${FOLDER}/${name.replaceAll(" ", "-")}-${width}-${colorScheme}.png` });
    }
}

/** So that a picture shows one incident. */
async function nothingLeft(): Promise<void> {
  if (FOLDER !== undefined) await desktop.page.getByText("Nothing: tiers are up").waitFor();
}
