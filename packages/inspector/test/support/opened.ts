import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { forkScript, randomPrefix, startOwnRedis, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import axe from "axe-core";
import type { Browser, CDPSession, Page } from "playwright-core";
import { expect } from "vitest";
import type { handlers } from "./service.ts";

const SERVICE = new URL("service.ts", import.meta.url);

export type Service = ScriptProcess<typeof handlers>;

/** Two processes over a Redis of their own; the inspector of the first may write. */
export interface Shop extends AsyncDisposable {
  readonly redis: OwnRedis;
  readonly prefix: string;
  readonly one: Service;
  readonly other: Service;
  /** The page of the first process. */
  readonly url: string;
}

export async function startShop(): Promise<Shop> {
  const redis = await startOwnRedis();
  const prefix = randomPrefix();
  const [one, other] = [forkScript<typeof handlers>(SERVICE), forkScript<typeof handlers>(SERVICE)] as const;
  const shared = { redisUrl: redis.url, prefix };
  const [url] = await Promise.all([
    one.call("start", { ...shared, name: "web-1", write: true }),
    other.call("start", { ...shared, name: "web-2" }),
  ]);
  return {
    redis,
    prefix,
    one,
    other,
    url,
    async [Symbol.asyncDispose]() {
      await Promise.all([one.kill(), other.kill()]);
      await redis[Symbol.asyncDispose]();
    },
  };
}

export interface Look {
  readonly width?: number;
  readonly scheme?: "dark" | "light";
  /** Pixels of a picture for each of the page. */
  readonly scale?: number;
}

/** A page in a browser, with the errors of its console. */
export async function visit(
  browser: Browser,
  url: string,
  { width = 1_280, scheme = "light", scale = 1 }: Look = {},
): Promise<Visit> {
  const context = await browser.newContext({
    viewport: { width, height: 800 },
    colorScheme: scheme,
    deviceScaleFactor: scale,
  });
  // Only what hangs is to fail by time.
  context.setDefaultTimeout(280_000);
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(error.message));
  await page.goto(url);
  await page.getByRole("link", { name: "Overview" }).waitFor();
  return {
    page,
    wrong,
    close: () => context.close(),
  };
}

export interface Visit {
  readonly page: Page;
  /** Errors of the page and of its console. */
  readonly wrong: readonly string[];
  close(): Promise<void>;
}

/** Opens one of the pages by its link. */
export async function goTo(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
}

/** By all rules of axe: WCAG 2.2 AA, and best practices. */
export async function expectAccessible(page: Page): Promise<void> {
  if (!worlds.has(page)) worlds.set(page, worldWithAxe(page));
  const { session, contextId } = await worlds.get(page)!;
  const { result } = await session.send("Runtime.evaluate", {
    expression: `axe.run().then(({ violations }) => JSON.stringify(violations.map(({ id, nodes }) =>
      ({ id, nodes: nodes.map(({ html, failureSummary }) => html + " " + failureSummary) }))))`,
    contextId,
    awaitPromise: true,
    returnByValue: true,
  });
  expect(JSON.parse(String(result.value))).toEqual([]);
}

/** Axe in a world of its own, since the page's policy forbids scripts of others. It lasts as long as the document. */
const worlds = new WeakMap<Page, ReturnType<typeof worldWithAxe>>();

async function worldWithAxe(page: Page): Promise<{ readonly session: CDPSession; readonly contextId: number }> {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", {
    frameId: frameTree.frame.id,
  });
  await session.send("Runtime.evaluate", { expression: axe.source, contextId });
  return { session, contextId };
}

/** A page of another origin. */
export async function foreignSite(html: string): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(`<!doctype html><title>foreign</title>${html}`);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, close: () => (server.closeAllConnections(), void server.close()) };
}
