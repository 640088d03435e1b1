import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { httpCache, readRules } from "@hotset/http";
import { cachedListener } from "@hotset/http/node";
import { createCache, memory, type Cache } from "hotset";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startChromium } from "../../packages/inspector/test/support/chromium.ts";

const guide = readFileSync(join(import.meta.dirname, "../guide/http.md"), "utf8");
const [, recipe = ""] = guide.split("### Leave logged-in users out\n");
/** As the page says: the rules, and the Cache-Control of a logged-in page. */
// oxlint-disable-next-line typescript/no-implied-eval -- the text of our own page
const rules = readRules(Function(`return [${/rules: \[\n(.*?)\n {2}\],/s.exec(recipe)![1]!}\n]`)());
const forUsers = /`Cache-Control: ([^`]+)`/.exec(recipe)![1]!;

let browser: Awaited<ReturnType<typeof startChromium>>;
let server: Server;
let cache: Cache;
let shop: string;
const statuses: string[] = [];
const runs: string[] = [];

beforeAll(async () => {
  browser = await startChromium();
  cache = createCache({ name: "shop" }).tier(memory()).build();
  server = createServer((request, response) => {
    response.once("finish", () => {
      const status = String(response.getHeader("cache-status") ?? "");
      if (request.url === "/")
        statuses.push(/; hit/.test(status) ? "hit" : (/detail=[\w-]+/.exec(status)?.[0] ?? "run"));
    });
    void listener(request, response);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  shop = `http://localhost:${(server.address() as AddressInfo).port}`;
  const pages = httpCache(cache.namespace("pages"), { base: shop, rules });
  const listener = cachedListener(pages, (request, response) => {
    const [, path = "", name = ""] = /^(\/\w*)\??(?:name=)?(\w*)/.exec(request.url ?? "") ?? [];
    if (request.method === "POST") {
      const cookie = path === "/login" ? `sid=${name}; HttpOnly` : "sid=; HttpOnly; Max-Age=0";
      response.writeHead(303, { location: "/", "set-cookie": cookie }).end();
      return;
    }
    const user = /(?:^|; )sid=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
    runs.push(user ?? "nobody");
    response.setHeader("cache-control", user === undefined ? "max-age=60" : forUsers);
    response.setHeader("content-type", "text/html");
    response.end(pageOf(user));
  });
});
afterAll(async () => {
  await browser.close();
  server.closeAllConnections();
  server.close();
  await cache.close();
});

/** A form that logs in or out, and links. */
const pageOf = (user: string | undefined): string => {
  const form = (action: string, text: string): string =>
    `<form method="post" action="${action}"><button>${text}</button></form>`;
  const forms =
    user === undefined
      ? form("/login?name=ann", "Log in as ann") + form("/login?name=bob", "Log in as bob")
      : form("/logout", "Log out");
  const heading = user === undefined ? "Please log in" : `Hello ${user}`;
  return `<!doctype html><link rel="icon" href="data:,"><h1>${heading}</h1><a href="/">Home</a> <a href="/books">Books</a>${forms}`;
};

/** Another browser, with its own cookies and its own cache. */
async function visitor() {
  const context = await browser.newContext();
  const page = await context.newPage();
  const arrives = async (path: string, leave: () => Promise<unknown>): Promise<string> => {
    await Promise.all([page.waitForURL(`${shop}${path}`, { waitUntil: "load" }), leave()]);
    return (await page.getByRole("heading").textContent())!;
  };
  return {
    opens: () => arrives("/", () => page.goto(`${shop}/`)),
    follows: (name: string, path: string) => arrives(path, () => page.getByRole("link", { name }).click()),
    submits: (name: string) => arrives("/", () => page.getByRole("button", { name }).click()),
    goesBack: (path: string) => arrives(path, () => page.goBack()),
  };
}

it("H101 a site with a login by the recipe: no page of a user is shown to others, and none of others to a user", async () => {
  const [ann, bob, guest] = [await visitor(), await visitor(), await visitor()];
  expect([await ann.opens(), await bob.opens(), await guest.opens()]).toEqual(Array(3).fill("Please log in"));
  expect([await ann.follows("Books", "/books"), await ann.follows("Home", "/")]).toEqual(
    Array(2).fill("Please log in"),
  );
  expect(runs).toEqual(["nobody", "nobody"]);

  expect(await ann.submits("Log in as ann")).toBe("Hello ann");
  // Its browser has seen this page before.
  expect(await ann.follows("Books", "/books")).toBe("Hello ann");
  expect(await bob.submits("Log in as bob")).toBe("Hello bob");
  const all = [ann.follows("Home", "/"), bob.follows("Books", "/books"), guest.follows("Books", "/books")];
  expect(await Promise.all(all)).toEqual(["Hello ann", "Hello bob", "Please log in"]);
  expect(runs.filter((user) => user === "ann")).toHaveLength(3);

  expect(await ann.submits("Log out")).toBe("Please log in");
  expect(await ann.goesBack("/")).toBe("Please log in");
  expect(await ann.goesBack("/books")).toBe("Please log in");
  expect(await bob.follows("Home", "/")).toBe("Hello bob");
  // The first page is shared, and purged by each POST that redirects to it.
  expect(statuses.filter((status) => status === "hit").length).toBeGreaterThan(2);
});
