import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startChromium } from "./support/chromium.ts";
import { expectAccessible, goTo, startShop, visit, type Shop } from "./support/opened.ts";

let browser: Browser;
let shop: Shop;
beforeAll(async () => {
  [browser, shop] = await Promise.all([startChromium(), startShop()]);
});
afterAll(async () => {
  await browser.close();
  await shop[Symbol.asyncDispose]();
});

it("a key is found, its value shows on a click without its password, and it is deleted for every process", async () => {
  await shop.one.call("set", "user:1", { name: "Ada", password: "hunter2" }, ["team:7"], ["users"]);
  await shop.one.call("set", "basket:9", {}, [], ["users"]);
  const { page, wrong, close } = await visit(browser, shop.url);
  await page.getByText("Nothing: tiers are up").waitFor();
  await goTo(page, "Keys");
  await page.getByText("2 keys").waitFor();
  await page.getByLabel("Search").fill("ser:1");
  // The list is another one from here on.
  await page.getByText("1 key", { exact: true }).waitFor();
  await page.getByRole("button", { name: "users › user:1" }).click();
  await page.getByRole("heading", { level: 2, name: "users › user:1" }).waitFor();
  await page.getByRole("cell", { name: "team:7" }).waitFor();
  await page.getByText("replaced or removed here").waitFor();
  expect(await page.content()).not.toMatch(/Ada|hunter2/);
  await page.getByRole("button", { name: "Show the value" }).click();
  const value = page.getByRole("region", { name: "The stored value" });
  expect(JSON.parse((await value.textContent()) ?? "")).toEqual({ name: "Ada", password: "[redacted]" });
  await expectAccessible(page);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog", { name: "Delete" }).getByRole("button", { name: "Delete" }).click();
  await page.getByText("No tier has an entry of this key").waitFor();
  expect(page.url()).toBe(`${shop.url}#/keys`);
  expect(wrong).toEqual([]);
  await close();
});
