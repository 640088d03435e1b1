import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { fedBody, Site, valueOf } from "./site.ts";

const SERVER = { base: "https://shop.example" };
const FRESH = { "cache-control": "max-age=60" };

describe("a load that many wait for", () => {
  it.each<[string, Record<string, string>]>([
    ["private", { "cache-control": "private, max-age=60" }],
    ["no-store", { "cache-control": "no-store" }],
    ["Set-Cookie", FRESH],
    ["a Vary that their requests differ in", { ...FRESH, vary: "accept-language" }],
  ])("H62 whose response has %s: each caller gets its answer, and its cookie", async (kind, fields) => {
    const site = new Site(SERVER);
    site.page = async (request) => {
      const user = valueOf(request, "cookie") ?? valueOf(request, "accept-language") ?? "nobody";
      await flush();
      return { fields: kind === "Set-Cookie" ? { ...fields, "set-cookie": `of=${user}` } : fields, body: user };
    };
    const name = kind.startsWith("a Vary") ? "accept-language" : "cookie";
    const users = Array.from({ length: 20 }, (_, i) => `user-${i}`);
    const answers = await Promise.all(users.map((user) => site.get({ fields: { [name]: user } })));
    expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(users);
    if (kind === "Set-Cookie")
      expect(answers.map((answer) => answer.fields["set-cookie"])).toEqual(users.map((user) => `of=${user}`));
  });

  it.each(["private", "no-cache"])(
    "H11 H12 H62 a field that %s names goes to the client of the load, and to none that waits for it",
    async (directive) => {
      const site = new Site({ ...SERVER, safeHeaders: ["authorization"] });
      const loading = gate();
      site.page = async (request) => {
        await loading.pass();
        const fields = { "cache-control": `public, max-age=60, ${directive}="x-account"`, "x-other": "for all" };
        return { fields: { ...fields, "x-account": valueOf(request, "authorization") ?? "none" }, body: "catalogue" };
      };
      const ask = (authorization: string) => site.get({ fields: { authorization } });
      const answers = ["alice", "bob", "carol"].map(ask);
      await loading.arrived();
      loading.open();
      const seen = (await Promise.all(answers)).map(({ fields }) => [fields["x-account"], fields["x-other"]]);
      expect(seen).toEqual([
        ["alice", "for all"],
        [undefined, "for all"],
        [undefined, "for all"],
      ]);
      expect(site.loads).toBe(1);
      expect((await ask("dave")).fields["x-account"]).toBeUndefined();
    },
  );

  it("H61 H68 callers that read along load no more, even if the body fails", async () => {
    const site = new Site(SERVER);
    const fed = fedBody();
    site.page = () => ({ fields: FRESH, body: fed.body });
    const answers = await Promise.all(Array.from({ length: 20 }, () => site.get()));
    const texts = Promise.all(answers.map((answer) => answer.text()));
    fed.feed(6_000_000);
    await flush();
    fed.end();
    expect((await texts).map(({ length }) => length)).toEqual(answers.map(() => 6_000_000));
    await flush();
    expect(site.loads).toBe(1);
  });

  it("H70 10,000 callers that read nothing hold up no other, and cost one body", async () => {
    const site = new Site(SERVER, { maxWaiting: 20_000 });
    const fed = fedBody();
    site.page = () => ({ fields: FRESH, body: fed.body });
    const [reader, ...stalled] = Array.from({ length: 10_001 }, () => site.get());
    fed.feed("first ");
    fed.feed(1_000_000);
    fed.end();
    expect((await (await reader!).text()).length).toBe(1_000_006);
    const answers = await Promise.all(stalled);
    expect(site.loads).toBe(1);
    // Each may read yet, from the first byte.
    expect((await answers[9_999]!.text()).slice(0, 6)).toBe("first ");
    for (const { body } of answers.slice(0, 9_999)) if (body instanceof ReadableStream) await body.cancel();
    expect((await site.ask())[1]).toMatch(/^hotset; hit/);
  });
});
