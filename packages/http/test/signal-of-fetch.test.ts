import { getEventListeners } from "node:events";
import { httpCache } from "@hotset/http";
import { cachedFetch } from "@hotset/http/fetch";
import { createTestCache, flush, TestClock } from "@hotset/testing";
import { describe, expect, it, onTestFinished, vi } from "vitest";

const PAGE = "https://a.example/page";
const LEFT = new Error("the caller left");

/** A server whose bodies come as the test says; `/old` redirects to `/page`. */
function open(cacheControl = "max-age=60") {
  const cache = createTestCache({ clock: new TestClock() });
  onTestFinished(() => cache.close());
  const asked: string[] = [];
  const cancelled: unknown[] = [];
  const bodies: ReadableStreamDefaultController<Uint8Array>[] = [];
  const get = cachedFetch(httpCache(cache.namespace("http"), { mode: "private", onAbort: "abort" }), async (input) => {
    const { method, url } = input as Request;
    const path = new URL(url).pathname;
    asked.push(`${method} ${path}`);
    const headers = { "cache-control": cacheControl, location: "/page" };
    if (path === "/old") return new Response(null, { status: 302, headers });
    if (path === "/none") return new Response(null, { status: 204, headers });
    if (method === "HEAD" || path === "/empty") return new Response(method === "HEAD" ? null : "", { headers });
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => void bodies.push(controller),
      cancel: (reason) => void cancelled.push(reason),
    });
    return new Response(body, { headers });
  });
  const send = (text: string): void => bodies.at(-1)!.enqueue(new TextEncoder().encode(text));
  const end = async (): Promise<void> => {
    bodies.at(-1)!.close();
    await flush();
  };
  /** Stored, and read. */
  const store = async (): Promise<void> => {
    const response = await get(PAGE);
    send("one");
    await end();
    expect(await response.text()).toBe("one");
    await flush();
  };
  return { get, send, end, store, asked, cancelled };
}

describe("H85: after the head the signal ends the body, as by fetch", () => {
  it.each([
    ["max-age=60", PAGE, "GET"],
    ["no-store", PAGE, "GET"],
    ["max-age=60", "https://a.example/old", "GET"],
    ["max-age=60", PAGE, "POST"],
  ])("%s, %s, %s: a body that stalls, for its reader and for a clone", async (cacheControl, url, method) => {
    const { get, send, cancelled } = open(cacheControl);
    for (const form of ["init", "Request"]) {
      const leaving = new AbortController();
      const init = { method, signal: leaving.signal };
      const response = await (form === "init" ? get(url, init) : get(new Request(url, init)));
      send("one");
      const texts = [response.clone(), response].map((each) => each.text());
      await flush();
      leaving.abort(LEFT);
      for (const text of texts) await expect(text).rejects.toBe(LEFT);
      await expect.poll(() => cancelled.splice(0)).toEqual([LEFT]);
    }
  });

  it("an unread body lets its source go, and the reason waits for a reader", async () => {
    const { get, cancelled } = open();
    const leaving = new AbortController();
    const response = await get(PAGE, { signal: leaving.signal });
    leaving.abort(LEFT);
    await expect.poll(() => cancelled).toEqual([LEFT]);
    await expect(response.text()).rejects.toBe(LEFT);
  });

  it("a slow body ends for the caller that leaves alone: others get it whole, and it is stored", async () => {
    const { get, send, end, asked } = open();
    const leaving = new AbortController();
    const stays = new AbortController();
    const responses = await Promise.all([
      get(PAGE, { signal: leaving.signal }),
      get(PAGE, { signal: stays.signal }),
      get(PAGE),
    ]);
    send("one ");
    const [left, ...others] = responses.map((each) => each.text());
    await flush();
    leaving.abort(LEFT);
    await expect(left).rejects.toBe(LEFT);
    send("two");
    await end();
    expect(await Promise.all(others)).toEqual(["one two", "one two"]);
    stays.abort(LEFT);
    expect(await (await get(PAGE)).text()).toBe("one two");
    expect(asked).toEqual(["GET /page"]);
  });

  it("a stored body: an abort before it is read ends it, and readers cannot change it", async () => {
    const { get, store, asked } = open();
    await store();
    const leaving = new AbortController();
    const { signal } = leaving;
    const [whole, cancelled, late, cloned, byob] = await Promise.all(
      Array.from({ length: 5 }, () => get(PAGE, { signal })),
    );
    (await whole!.body!.getReader().read()).value!.fill(0);
    await cancelled!.body!.cancel();
    expect(await cloned!.clone().text()).toBe("one");
    const reader = byob!.body!.getReader({ mode: "byob" });
    expect((await reader.read(new Uint8Array(8))).value).toEqual(new TextEncoder().encode("one"));
    expect((await reader.read(new Uint8Array(8))).done).toBe(true);
    leaving.abort(LEFT);
    await expect(late!.text()).rejects.toBe(LEFT);
    expect(await (await get(PAGE)).text()).toBe("one");
    expect(asked).toEqual(["GET /page"]);
  });

  it("no body, or an empty one", async () => {
    const { get } = open();
    const { signal } = new AbortController();
    for (const _ of [1, 2]) {
      expect((await get("https://a.example/none", { signal })).body).toBeNull();
      expect(await (await get("https://a.example/empty", { signal })).text()).toBe("");
      expect((await get(PAGE, { method: "HEAD", signal })).body).toBeNull();
      const reader = (await get("https://a.example/empty", { signal })).body!.getReader();
      expect((await reader.read()).done).toBe(true);
    }
  });

  it.each(["read", "cancelled"])("a signal keeps no listener for a body that was %s", async (how) => {
    const { get, end } = open();
    const made: Request[] = [];
    class Seen extends Request {
      constructor(...parameters: ConstructorParameters<typeof Request>) {
        super(...parameters);
        made.push(this);
      }
    }
    vi.stubGlobal("Request", Seen);
    onTestFinished(() => void vi.unstubAllGlobals());
    const response = await get(PAGE, { signal: new AbortController().signal });
    const listeners = (): number => getEventListeners(made[0]!.signal, "abort").length;
    expect(listeners()).toBeGreaterThan(0);
    if (how === "cancelled") await response.body!.cancel();
    else await Promise.all([response.text(), end()]);
    await flush();
    expect(listeners()).toBe(0);
  });
});
