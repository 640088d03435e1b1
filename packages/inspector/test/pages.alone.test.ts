import type { Page } from "playwright-core";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { startChromium } from "./support/chromium.ts";
import { expectAccessible, foreignSite, goTo, startShop, visit, type Shop } from "./support/opened.ts";

const browser = await startChromium();
// Each has two processes, which take seconds to start. Each test looks for names of its own.
const [busy, shared] = await Promise.all([startShop(), startShop()]);
afterAll(async () => {
  await Promise.all([busy, shared].map((shop) => shop[Symbol.asyncDispose]()));
  await browser.close();
});

async function opened(shop = shared): Promise<Shop & Awaited<ReturnType<typeof visit>>> {
  onTestFinished(async () => {
    await Promise.all([shop.one.call("stopLoops"), shop.other.call("stopLoops"), shop.one.call("stopWorker")]);
  });
  const visited = await visit(browser, shop.url);
  onTestFinished(() => visited.close());
  return { ...shop, ...visited };
}

/** The row of a table that has this text. */
const row = (page: Page, text: string | RegExp) => page.getByRole("row").filter({ hasText: text }).first();

describe("each page, of two processes over one Redis", () => {
  const PAGES: readonly (readonly [name: string, texts: readonly (string | RegExp)[]])[] = [
    ["Overview", ["Cache shop", "Time saved", "memory", "redis"]],
    ["Keys", ["prices", "price:1"]],
    ["Invalidations", ["offers", "web-2"]],
    ["Stampedes", ["report:daily", "loading"]],
    ["Stale", ["No key is served as fallback"]],
    ["Fleet", ["web-1", "web-2", "tracking"]],
    ["Redis", ["entries of a cache", "Primaries", "noeviction"]],
    ["HTTP", ["revalidated", "private"]],
    ["Queues", ["mails", "TypeError: 550 mailbox full"]],
    ["Locks", ["nightly-report"]],
    ["Limits", ["login"]],
  ];

  it("shows what they do, on a wide screen and on a phone, and axe finds nothing", async () => {
    const { page, one, other, prefix, url, wrong } = await opened(busy);
    await one.call("load", "price:1", { amount: 1 }, 5, ["prices"]);
    await one.call("load", "offer:1", { amount: 1 }, 5, ["offers"]);
    await other.call("invalidate", "offers");
    await one.call("httpRequests", 3);
    await one.call("lockAndLimit", prefix);
    await one.call("failJobs", 2, "550 mailbox full");
    await one.call("stampede", "report:daily", 5, 200_000);
    const phone = await visit(browser, url, { width: 390, scheme: "dark" });
    onTestFinished(() => phone.close());
    for (const [name, texts] of PAGES)
      for (const [at, width] of [
        [page, 1_280],
        [phone.page, 390],
      ] as const) {
        await goTo(at, name);
        for (const text of texts) await at.getByRole("main").getByText(text).first().waitFor();
        expect(await at.getByRole("alert").count()).toBe(0);
        await expectAccessible(at);
        // Tables and lists of keys, which scroll in themselves, are wider than a phone; the page is not.
        expect(await at.evaluate("document.documentElement.scrollWidth")).toBe(width);
      }
    // Keys have two lines on a phone, and their figures are named.
    await goTo(phone.page, "Keys");
    const list = phone.page.getByRole("table", { name: "Keys", exact: true });
    const ofPrice = list.getByRole("row").filter({ hasText: "price:1" }).getByRole("cell");
    await ofPrice.last().waitFor();
    const cells = await ofPrice.all();
    const boxes = await Promise.all(cells.map((cell) => cell.boundingBox()));
    expect(boxes.map((box) => box!.y > boxes[0]!.y)).toEqual([false, true, true, true, true, true]);
    expect(boxes.every((box) => box!.x + box!.width <= 390)).toBe(true);
    expect([...wrong, ...phone.wrong]).toEqual([]);
  });
});

describe("an incident is found by the views alone", () => {
  it("a stampede: how many callers wait for which key, and since when", async () => {
    const { page, one } = await opened();
    await one.call("stampede", "report:daily", 300, 120_000);
    const finding = page.getByRole("listitem").filter({ hasText: /300 callers of "report:daily" wait for one load/ });
    await finding.getByRole("link", { name: "Stampedes" }).click();
    const busiest = row(page, "report:daily");
    await busiest.waitFor();
    expect(await busiest.getByRole("cell").first().innerText()).toBe("300");
  });

  it("a frozen Redis: which tier is down, and what waits for it", async () => {
    const { page, one, redis } = await opened(busy);
    await one.call("load", "price:1", 1, 0);
    await one.call("traffic");
    redis.pause();
    const finding = page
      .getByRole("listitem")
      .filter({ hasText: /shop: redis has been down for \d+ s: BACKEND_UNAVAILABLE, .*no answer/ });
    await finding.getByRole("link", { name: "Redis" }).waitFor();
    await row(page, "redis").getByText("down").waitFor();
    for (const name of ["Redis", "Queues", "Locks", "Limits", "Fleet"]) {
      await goTo(page, name);
      await page.getByText(/has not answered for/).waitFor();
      expect(await page.getByRole("alert").count()).toBe(0);
      if (name !== "Fleet") expect(await page.getByText(/^(up|No lock is held|There are no queues)$/).count()).toBe(0);
      await expectAccessible(page);
    }
    await page.getByText(/What is shown is \d+(\.\d)? s old/).waitFor();
    expect(await page.locator(".old .loud").count()).toBe(0);
    await goTo(page, "Overview");
    redis.resume();
    await row(page, "redis").getByText("up", { exact: true }).waitFor();
    const standing = page.getByRole("list", { name: "What stands out" }).getByText(/has been down/);
    await standing.waitFor({ state: "detached" });
    await finding.waitFor();
  });

  it("a tag called in a loop: which one, how often, and by which process", async () => {
    const { page, other } = await opened();
    await other.call("loopTag", "prices", 20);
    const finding = page
      .getByRole("listitem")
      .filter({ hasText: /shop: tag "prices" was invalidated \d+ times in the last minute, by web-2/ });
    await finding.getByRole("link", { name: "Invalidations" }).click();
    const burst = row(page, /\d+\s*tag prices/);
    await burst.waitFor();
    expect(await burst.getByRole("cell").nth(2).innerText()).toBe("web-2");
  });

  it("a source that fails and is covered by stale values: which keys, and the error", async () => {
    const { page, one } = await opened();
    await one.call("load", "price:1", 1, 0);
    await one.call("breakSource", "db: connection refused", ["price:1"]);
    const finding = page
      .getByRole("listitem")
      .filter({ hasText: "shop: 1 key served stale because loads fail: Error: db: connection refused" });
    await finding.getByRole("link", { name: "Stale" }).click();
    const fallback = row(page, "price:1");
    await fallback.waitFor();
    expect(await fallback.getByRole("cell").nth(1).innerText()).toBe("Error: db: connection refused");
  });

  it("a queue that dies: how many jobs, why, where in the code, and how to let them wait again", async () => {
    const { page, one } = await opened();
    await one.call("failJobs", 3, "550 mailbox full");
    const finding = page
      .getByRole("listitem")
      .filter({ hasText: "queue mails: 3 dead jobs, the last: 550 mailbox full" });
    await finding.getByRole("link", { name: "Queues" }).click();
    const job = page.getByRole("listitem").filter({ hasText: "TypeError: 550 mailbox full" }).first();
    await job.getByText("Stack").click();
    await job
      .getByText(/service\.ts:\d+/)
      .first()
      .waitFor();
    await one.call("stopWorker");
    await page.getByRole("button", { name: "Retry all dead jobs" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Retry all dead jobs" }).click();
    await expect.poll(() => row(page, "mails").getByRole("cell").nth(2).innerText()).toBe("3");
    await page.getByText("3 jobs wait again").waitFor();
    // A page that was opened while no job was dead shows those that die from then on.
    await goTo(page, "Overview");
    await goTo(page, "Queues");
    await one.call("failJobs", 1, "551 no such user");
    await page.getByText("TypeError: 551 no such user").first().waitFor();
  });
});

describe("what a page shows cannot act", () => {
  it("keys, tags, values, error messages and names of queues are text", async () => {
    const { page, one, wrong } = await opened();
    const evil = `<img src=x onerror="window.pwned=1">'"&<script>window.pwned=1</script>`;
    await one.call("set", `a${evil}`, { [evil]: evil }, [`t${evil}`], [`n${evil}`]);
    await one.call("load", `b${evil}`, 1, 0);
    await one.call("breakSource", `e${evil}`, [`b${evil}`]);
    await one.call("failJobs", 1, `j${evil}`);
    await page.getByText(`Error: e${evil}`).waitFor();
    await goTo(page, "Queues");
    await page.getByText(`TypeError: j${evil}`).first().waitFor();
    await goTo(page, "Stale");
    await row(page, `b${evil}`).waitFor();
    await goTo(page, "Invalidations");
    await row(page, `a${evil}`).waitFor();
    await goTo(page, "Keys");
    await page.getByRole("button", { name: `n${evil} › a${evil}` }).click();
    await page.getByRole("cell", { name: `t${evil}` }).waitFor();
    await page.getByRole("button", { name: "Show the value" }).click();
    await page.getByRole("region", { name: "The stored value" }).waitFor();
    expect(await page.evaluate("[typeof window.pwned, document.images.length]")).toEqual(["undefined", 0]);
    expect(wrong).toEqual([]);
  });

  it("a page of another origin can change nothing, read nothing, and not frame it", async () => {
    const { url, one, page } = await opened();
    await one.call("set", "user:1", "Ada");
    const question = JSON.stringify({ cache: "shop", namespace: [], key: "user:1" });
    const site = await foreignSite(`
      <iframe src="${url}" id="frame"></iframe>
      <form method="post" enctype="text/plain" action="${url}api/delete" target="into">
        <input name='${question.slice(0, -1)},"x":"' value='"}'></form><iframe name="into"></iframe>
      <script>
        const ask = (init) => fetch("${url}api/delete", { method: "POST", body: ${JSON.stringify(question)}, ...init }).then(
          (r) => r.type + r.status, () => "refused");
        const stream = new Promise((done) => {
          const source = new EventSource("${url}api/live?page=overview");
          source.onmessage = () => done("read");
          source.onerror = () => done("refused");
        });
        document.forms[0].submit();
        window.said = Promise.all([
          ask({ headers: { "content-type": "application/json", "x-hotset-inspector": "1" } }),
          ask({ mode: "no-cors" }),
          ask({ mode: "no-cors", credentials: "include", keepalive: true }),
          fetch("${url}").then(() => "read", () => "refused"),
          stream,
        ]);
      </script>`);
    onTestFinished(() => site.close());
    const foreign = await page.context().newPage();
    await foreign.goto(site.url);
    expect(await foreign.evaluate(() => Reflect.get(globalThis, "said"))).toEqual(Array(5).fill("refused"));
    for (const frame of foreign.frames().slice(1)) expect(await frame.content()).not.toContain("hotset inspector");
    expect(await one.call("load", "user:1", "loaded again")).toBe("Ada");
  });
});

describe("by hand", () => {
  it("200,000 keys are a list of a few rows, from the first to the last", async () => {
    const { page, one } = await opened();
    await one.call("fill", 200_000);
    await goTo(page, "Keys");
    await page.getByLabel("Cache").selectOption("catalogue");
    await page.getByText("200,000 keys").or(page.getByText("200K keys")).waitFor();
    const list = page.getByRole("table", { name: "Keys", exact: true });
    await page.getByRole("button", { name: "item:000000" }).waitFor();
    await list.evaluate((element) => (element.scrollTop = element.scrollHeight));
    await page.getByRole("button", { name: "item:199999" }).waitFor();
    await list.evaluate((element) => (element.scrollTop = element.scrollHeight / 2));
    await page.getByRole("button", { name: "item:100000" }).waitFor();
    expect(await list.getByRole("row").count()).toBeLessThan(60);
    await page.getByLabel("Search").fill("item:19999");
    await page.getByText("10 keys").waitFor();
  });

  it("keys of Redis are listed as well, those that this process does not hold too", async () => {
    const { page, other } = await opened();
    await other.call("set", "of-the-other", 1);
    await goTo(page, "Keys");
    await page.getByLabel("Where").selectOption("in redis");
    await page.getByRole("button", { name: "of-the-other" }).click();
    await page.getByText("in redis", { exact: true }).waitFor();
    expect(await page.getByRole("heading", { level: 2, name: "of-the-other" }).isVisible()).toBe(true);
  });

  it("everything is reached by the keyboard: a key is found, marked stale, and left", async () => {
    const { page, one } = await opened();
    await one.call("load", "basket:1", 1, 0);
    const press = async (...keys: readonly string[]): Promise<void> => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await page.getByRole("link", { name: "Keys" }).focus();
    await press("Enter");
    await page.getByRole("heading", { level: 1, name: "Keys" }).waitFor();
    await page.getByLabel("Search").waitFor();
    await press("/");
    await page.keyboard.type("basket:1");
    await page.getByRole("button", { name: "basket:1" }).waitFor();
    await page.getByRole("button", { name: "basket:1" }).focus();
    await press("Enter");
    await page.getByRole("heading", { level: 2, name: "basket:1" }).waitFor();
    await page.getByRole("button", { name: "Mark stale" }).focus();
    await press("Enter");
    await page.getByRole("dialog", { name: "Mark stale" }).waitFor();
    await press("Enter");
    await page.getByText("done", { exact: true }).waitFor();
    await page.getByText("stale", { exact: true }).waitFor();
    await page.getByRole("button", { name: "All keys" }).focus();
    await press("Enter");
    await page.getByLabel("Search").waitFor();
    expect(await one.call("load", "basket:1", "loaded again")).toBe(1);
  });

  it("updates come at most ten times a second, and none while it is paused", async () => {
    const { page, one, other } = await opened();
    await other.call("loopTag", "prices", 5);
    await one.call("loopTag", "offers", 5);
    const rate = await page.evaluate(async () => {
      const times: number[] = [];
      const source = new EventSource("api/live?page=invalidations");
      source.addEventListener("message", () => times.push(performance.now()));
      while (times.length < 5) await new Promise((resolve) => setTimeout(resolve, 50));
      source.close();
      return (1_000 * (times.length - 1)) / (times.at(-1)! - times[0]!);
    });
    expect(rate).toBeLessThanOrEqual(10);
    await page.getByRole("button", { name: "Pause updates" }).click();
    await page.getByText("Paused").waitFor();
    const before = await page.getByRole("main").innerHTML();
    // The busiest load is named: that of another test may be under way.
    await one.call("stampede", "report:weekly", 400, 200_000);
    await page.waitForTimeout(1_000);
    expect(await page.getByRole("main").innerHTML()).toBe(before);
    await page.getByRole("button", { name: "Resume updates" }).click();
    await page.getByText(/400 callers of "report:weekly"/).waitFor();
  });
});
