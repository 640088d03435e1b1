import type { AnswerOptions, HttpCacheOptions } from "@hotset/http";
import { flush } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { fedBody, Site, valueOf, type Fed } from "./site.ts";

const FRESH = { "cache-control": "max-age=60" };

describe("a handler slower than loadTimeout", () => {
  /** Each run waits for its gate, and answers with its number. */
  function slowSite(fields: Record<string, string> = FRESH, options: HttpCacheOptions = {}) {
    const site = new Site({ loadTimeout: "5s", base: "https://shop.example", ...options });
    const gates: (() => void)[] = [];
    site.page = async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const run = gates.push(resolve);
      await promise;
      return { fields, body: `run ${run}` };
    };
    const ask = (count: number, call?: AnswerOptions): Promise<string>[] =>
      Array.from({ length: count }, () =>
        site.ask({ ...(call && { call }) }).then(
          ([body]) => body,
          (error: Error) => error.message,
        ),
      );
    const pass = async (ms: number): Promise<void> => {
      await flush();
      site.clock.advance(ms);
      await flush();
    };
    return { site, gates, ask, pass };
  }

  it("H70 its run continues after loadTimeout, and answers all that wait for it", async () => {
    const { site, gates, ask, pass } = slowSite();
    const early = Promise.all(ask(100));
    await pass(5_000);
    // For those that come from now on, and for all if the first one hangs.
    expect(gates).toHaveLength(2);
    const later = Promise.all(ask(100));
    await flush();
    expect(gates).toHaveLength(2);
    gates[0]!();
    expect(new Set(await early)).toEqual(new Set(["run 1"]));
    await pass(5_000);
    gates[1]!();
    expect(new Set(await later)).toEqual(new Set(["run 2"]));
    // The first of those is answered as a caller of the load that it began.
    expect(site.http.stats()).toMatchObject({ passed: { slow: 1 }, collapsed: 199 });
  });

  it("H70 its body reaches all that wait for it, though none of them waits for the load any longer", async () => {
    const { site, gates, ask, pass } = slowSite();
    const bodies: Fed[] = [];
    const { page } = site;
    site.page = async (request, context) => {
      const made = await page(request, context);
      const fed = fedBody();
      bodies.push(fed);
      context.signal.addEventListener("abort", () => fed.fail(new Error("aborted")));
      return { ...made, body: fed.body };
    };
    const early = ask(5);
    await pass(5_000);
    const later = ask(5);
    // The second run is late as well.
    await pass(5_000);
    for (const open of gates.slice(0, 2)) {
      open();
      await flush();
    }
    expect(bodies).toHaveLength(2);
    for (const [i, { feed, end }] of bodies.entries()) {
      feed(`body ${i + 1}`);
      end();
    }
    expect(await Promise.all(early)).toEqual(Array.from({ length: 5 }, () => "body 1"));
    expect(await Promise.all(later)).toEqual(Array.from({ length: 5 }, () => "body 2"));
    expect(site.seen.map(({ context }) => context.signal.aborted).slice(0, 2)).toEqual([false, false]);
  });

  it("H70 H101 each caller runs it with its own fields once its answer turns out to be private", async () => {
    const { site, gates, pass } = slowSite({ "cache-control": "private" });
    const given = { fields: { cookie: "user=1" } };
    const answers = Promise.all([site.ask(given), site.ask(given), site.ask(given)]);
    await pass(5_000);
    expect(gates).toHaveLength(2);
    gates[0]!();
    await flush();
    expect(site.seen.map(({ request }) => valueOf(request, "cookie"))).toEqual([
      undefined,
      undefined,
      "user=1",
      "user=1",
      "user=1",
    ]);
    for (const open of gates) open();
    expect((await answers).map(([body]) => body).toSorted()).toEqual(["run 3", "run 4", "run 5"]);
  });

  it("H70 a caller that comes after a purge gets nothing of the runs that began before it", async () => {
    const { site, gates, ask, pass } = slowSite();
    const early = Promise.all(ask(2));
    await pass(4_000);
    await site.http.purge("https://shop.example/");
    await pass(1_000);
    const later = Promise.all(ask(2));
    await flush();
    gates[0]!();
    expect(await early).toEqual(["run 1", "run 1"]);
    await flush();
    expect(gates).toHaveLength(2);
    gates[1]!();
    expect(await later).toEqual(["run 2", "run 2"]);
    expect(await site.ask()).toEqual(["run 2", "hotset; hit; ttl=60"]);
  });

  it("H70 a run continues while one caller waits, and is aborted as the last one leaves", async () => {
    const { site, gates, ask, pass } = slowSite();
    const [first, second] = [new AbortController(), new AbortController()];
    const answers = Promise.all([...ask(1, { signal: first.signal }), ...ask(1, { signal: second.signal })]);
    await pass(5_000);
    const signals = (): boolean[] => site.seen.map(({ context }) => context.signal.aborted);
    first.abort(new Error("left"));
    await flush();
    expect(signals()).toEqual([false, false]);
    second.abort(new Error("left"));
    await flush();
    expect(signals()[0]).toBe(true);
    await pass(5_000);
    expect(signals()).toEqual([true, true]);
    expect([await answers, gates.length]).toEqual([["left", "left"], 2]);
  });

  it("H70 at most ten late runs of one URL go on: then those that wait get 503 with Retry-After", async () => {
    const { site, gates, pass } = slowSite();
    const answers = Array.from({ length: 50 }, () => site.get());
    for (let i = 0; i < 11; i++) await pass(5_000);
    expect(gates).toHaveLength(10);
    const refused = await Promise.all(answers.slice(10));
    expect(new Set(refused.map(({ status, fields }) => `${status} ${fields["retry-after"]}`))).toEqual(
      new Set(["503 1"]),
    );
    expect((await site.get()).status).toBe(503);
    // One of them answers: the URL is asked again.
    gates[3]!();
    await flush();
    const next = site.ask();
    await flush();
    expect(gates).toHaveLength(11);
    gates[10]!();
    expect((await next)[0]).toBe("run 11");
    for (const open of gates) open();
    await Promise.all(answers);
  });

  it("H70 H101 a late run that fails with a field of its client, and is late again without it, is one late run", async () => {
    const { site, gates, pass } = slowSite({ ...FRESH, vary: "accept-language" });
    const slow = site.page;
    site.page = () => ({ fields: { ...FRESH, vary: "accept-language" }, body: "de" });
    await site.get({ path: "/of-others", fields: { "accept-language": "de" } });
    site.page = async (request, context) => {
      const answer = context.shared ? await slow(request, context) : { fields: FRESH, body: "own" };
      if (valueOf(request, "accept-language") !== undefined) throw new Error("no such language");
      return answer;
    };
    for (let i = 0; i < 11; i++) {
      const asked = site.get({ fields: { "accept-language": "xx" } }).catch((error: Error) => error);
      await pass(5_000);
      gates.at(-1)!();
      await pass(5_000);
      for (let run = 0; run < 3; run++) {
        for (const open of gates) open();
        await flush();
      }
      expect(await asked, `${i}: ${gates.length} runs`).not.toMatchObject({ status: 503 });
      await pass(120_000);
    }
  });
});
