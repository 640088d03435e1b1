import { writeFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startChromium } from "./support/chromium.ts";
import { goTo, startShop, visit, type Shop } from "./support/opened.ts";

// For people: `PICTURES_TO=folder` keeps what each page looked like.

const FOLDER = process.env["PICTURES_TO"];
const PAGES = [
  "Overview",
  "Keys",
  "Invalidations",
  "Stampedes",
  "Stale",
  "Fleet",
  "Redis",
  "Queues",
  "Locks",
  "Limits",
];

let shop: Shop;
let browser: Browser;
beforeAll(async () => {
  [shop, browser] = await Promise.all([startShop(), startChromium()]);
  const { one, other, prefix } = shop;
  await one.call("traffic", 40);
  await other.call("traffic", 60);
  await one.call(
    "set",
    "price:EUR",
    1,
    ["prices", "a-tag-with-a-name-that-is-rather-long"],
    ["tenant:acme", "catalogue"],
  );
  await one.call("failJobs", 3, "mailbox full");
  await one.call("lockAndLimit", prefix);
  await one.call("httpRequests", 3);
  await one.call("invalidate", "prices");
  await one.call("clear");
  await one.call("stampede", "report:daily", 30, 600_000);
  await one.call("load", "slow:1", 1, 400);
  await one.call("breakSource", "connect ECONNREFUSED 10.0.7.12:5432", ["traffic:1", "traffic:2"]);
});
afterAll(async () => {
  await browser?.close();
  await shop?.[Symbol.asyncDispose]();
});

it.for([1_200, 390])("tables are whole on a page of %i px, and nothing is cut", async (width) => {
  const { page, wrong, close } = await visit(browser, shop.url, { width });
  const cut: unknown[] = [];
  for (const name of PAGES) {
    await goTo(page, name);
    // Until its first state has come.
    await expect.poll(() => page.getByText("Waiting for the first update").count()).toBe(0);
    await page.waitForTimeout(name === "Overview" ? 6_000 : 1_500);
    for (const each of await wide(page)) cut.push([name, each]);
    if (FOLDER !== undefined)
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        writeFileSync(`${FOLDER}/${name}-${width}-${colorScheme}.png`, await page.screenshot({ fullPage: true }));
      }
  }
  await close();
  expect(wrong).toEqual([]);
  expect(cut).toEqual([]);
});

/** What is wider than its place: tables, lists, figures, and the page itself; on a phone also tables that are longer. */
const wide = (page: { evaluate(text: string): Promise<unknown> }): Promise<readonly unknown[]> =>
  page.evaluate(`[...document.querySelectorAll(".scroll, .panel, .chart, .findings li, .figure, main, html")]
    .filter((each) => each.scrollWidth > each.clientWidth + 1 ||
      (innerWidth <= 720 && each.matches(".scroll") && each.scrollHeight > each.clientHeight + 1))
    .map((each) => [each.getAttribute("aria-label") ?? each.className ?? each.tagName, each.scrollWidth, each.clientWidth, each.scrollHeight, each.clientHeight])`) as Promise<
    readonly unknown[]
  >;
