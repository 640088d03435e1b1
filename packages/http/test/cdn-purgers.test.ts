import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { akamai, bunny, cloudflare, fastly, varnish, type Cdn, type CdnOptions } from "@hotset/http/cdn";
import { afterEach, describe, expect, it } from "vitest";
import { edgeGrid } from "../src/purgers/edge-grid.ts";

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

/** A server in place of the API of a CDN. */
async function standIn() {
  const asked: Asked[] = [];
  const reply = { status: 200, body: '{"success": true}', headers: {} as Record<string, string> };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      const { method = "", url = "", headers } = request;
      asked.push({ method, url, headers, body: text === "" ? undefined : JSON.parse(text) });
      response.writeHead(reply.status, reply.headers).end(reply.status === 204 ? undefined : reply.body);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => server.close());
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, reply };
}

const closing: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const purge = (cdn: Cdn, keys: readonly string[], soft = false): Promise<void> =>
  cdn.purge(keys, { soft, signal: new AbortController().signal });

const CREDENTIALS = {
  host: "akab-x.purge.akamaiapis.net",
  clientToken: "akab-client",
  clientSecret: "s3cret=",
  accessToken: "akab-access",
};

const CDNS: Readonly<Record<string, (options: CdnOptions) => Cdn>> = {
  fastly: (options) => fastly({ service: "SU1Z0", token: "s3cret", ...options }),
  cloudflare: (options) => cloudflare({ zone: "023e1", token: "s3cret", ...options }),
  akamai: (options) => akamai({ ...CREDENTIALS, ...options }),
  bunny: (options) => bunny({ pullZone: "42", accessKey: "s3cret", ...options }),
  varnish: ({ endpoint, ...options }) => varnish({ urls: [endpoint!], ...options }),
};

describe("the documented request of each CDN", () => {
  it("H108 Fastly: a batch of surrogate keys, soft by a header", async () => {
    const { endpoint, asked } = await standIn();
    const cdn = CDNS["fastly"]!({ endpoint });
    await purge(cdn, ["book:1", "~a"]);
    await purge(cdn, ["books"], true);
    expect(asked).toMatchObject([
      {
        method: "POST",
        url: "/service/SU1Z0/purge",
        headers: { "fastly-key": "s3cret", "content-type": "application/json", accept: "application/json" },
        body: { surrogate_keys: ["book:1", "~a"] },
      },
      { headers: { "fastly-soft-purge": "1" }, body: { surrogate_keys: ["books"] } },
    ]);
    expect(asked[0]!.headers["fastly-soft-purge"]).toBeUndefined();
    expect([cdn.field.name, cdn.field.separator, cdn.keysPerCall]).toEqual(["surrogate-key", " ", 256]);
  });

  it("H108 Cloudflare: tags of a zone, and an answer that says success", async () => {
    const { endpoint, asked, reply } = await standIn();
    const cdn = CDNS["cloudflare"]!({ endpoint });
    await purge(cdn, ["book:1", "books"], true);
    expect(asked).toMatchObject([
      {
        method: "POST",
        url: "/client/v4/zones/023e1/purge_cache",
        headers: { authorization: "Bearer s3cret", "content-type": "application/json" },
        body: { tags: ["book:1", "books"] },
      },
    ]);
    reply.body = '{"success": false, "errors": [{"code": 1107}]}';
    await expect(purge(cdn, ["book:1"])).rejects.toThrow("cloudflare: did not purge");
    expect([cdn.field.name, cdn.field.separator, cdn.keysPerCall]).toEqual(["cache-tag", ",", 100]);
  });

  it("H108 Akamai: invalidate or delete by tag, signed as its own client signs", async () => {
    const { endpoint, asked, reply } = await standIn();
    reply.status = 201;
    const cdn = CDNS["akamai"]!({ endpoint });
    await purge(cdn, ["books"]);
    await purge(cdn, ["books"], true);
    expect(asked).toMatchObject([
      { method: "POST", url: "/ccu/v3/delete/tag/production", body: { objects: ["books"] } },
      { method: "POST", url: "/ccu/v3/invalidate/tag/production", body: { objects: ["books"] } },
    ]);
    expect(asked[0]!.headers.authorization).toMatch(
      /^EG1-HMAC-SHA256 client_token=akab-client;access_token=akab-access;timestamp=\d{8}T[\d:]{8}\+0000;nonce=[\w-]{36};signature=[\w+/]{43}=$/,
    );
    // Made by akamai-edgegrid 4.0.4, with this instant and nonce.
    const at = { time: new Date("2026-12-01T01:02:03.456Z"), nonce: "nonce-1" };
    expect(await edgeGrid(CREDENTIALS, "/ccu/v3/delete/tag/production", '{"objects":["a","b"]}', at)).toBe(
      "EG1-HMAC-SHA256 client_token=akab-client;access_token=akab-access;timestamp=20261201T01:02:03+0000;" +
        "nonce=nonce-1;signature=Q4szeRecBRimX6xalaTBo3u1GSyFw8QuladOgUzs+H4=",
    );
    // A colon is not allowed in its tags.
    expect([cdn.field.plain.test("book:1"), cdn.field.plain.test("book.1~")]).toEqual([false, true]);
    expect([cdn.field.name, cdn.field.separator, cdn.field.maxKeys]).toEqual(["edge-cache-tag", ",", 128]);
  });

  it("H108 bunny: one tag of a pull zone for each call", async () => {
    const { endpoint, asked, reply } = await standIn();
    reply.status = 204;
    const cdn = CDNS["bunny"]!({ endpoint });
    await purge(cdn, ["book:1"]);
    expect(asked).toMatchObject([
      {
        method: "POST",
        url: "/pullzone/42/purgeCache",
        headers: { accesskey: "s3cret" },
        body: { CacheTag: "book:1" },
      },
    ]);
    expect([cdn.field.name, cdn.field.maxBytes, cdn.keysPerCall]).toEqual(["cdn-tag", 1_024, 1]);
    expect(cdn.field.plain.test("a*")).toBe(false);
  });

  it("H108 Varnish: each server, and all of them have to answer", async () => {
    const [one, two] = [await standIn(), await standIn()];
    const cdn = varnish({ urls: [`${one.endpoint}/`, two.endpoint] });
    await purge(cdn, ["books", "~a"]);
    await purge(cdn, ["books"], true);
    for (const { asked } of [one, two])
      expect(asked).toMatchObject([
        { method: "PURGE", url: "/", headers: { "xkey-purge": "books ~a" } },
        { method: "PURGE", headers: { "xkey-softpurge": "books" } },
      ]);
    two.reply.status = 403;
    await expect(purge(cdn, ["books"])).rejects.toMatchObject({ status: 403 });
  });
});

describe.each(Object.keys(CDNS))("%s when it fails", (name) => {
  it("H108 an answer of another status is an error with its status and Retry-After, and without keys and secrets", async () => {
    const { endpoint, reply } = await standIn();
    const cdn = CDNS[name]!({ endpoint });
    Object.assign(reply, { status: 429, headers: { "retry-after": "7" }, body: "s3cret" });
    const error: unknown = await purge(cdn, ["private-key"]).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      name: "BackendUnavailableError",
      code: "BACKEND_UNAVAILABLE",
      message: `${name}: answered 429 to a purge`,
      status: 429,
      retryAfterMs: 7_000,
      tier: name,
      operation: "purge",
    });
    expect(JSON.stringify({ ...(error as object), stack: (error as Error).stack })).not.toMatch(
      /s3cret|private-key|akab/,
    );
    Object.assign(reply, { status: 503, headers: { "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT" } });
    await expect(purge(cdn, ["a"])).rejects.toMatchObject({ status: 503, retryAfterMs: 0 });
  });

  it("H108 follows no redirect, which could take the token elsewhere", async () => {
    const [{ endpoint, reply }, other] = [await standIn(), await standIn()];
    Object.assign(reply, { status: 307, headers: { location: other.endpoint } });
    await expect(purge(CDNS[name]!({ endpoint }), ["a"])).rejects.toMatchObject({ status: 307 });
    expect(other.asked).toEqual([]);
  });

  it("H108 a server that is not there, and a call that is ended", async () => {
    const cdn = CDNS[name]!({ endpoint: "http://127.0.0.1:9" });
    await expect(purge(cdn, ["a"])).rejects.toThrow(`${name}: could not be reached; see cause`);
    const reason = new Error("late");
    await expect(cdn.purge(["a"], { soft: false, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it("refuses options that it cannot use", () => {
    const make = CDNS[name]!;
    expect(() => make({ endpoint: "https://ada:s3cret@edge.example" })).toThrow(
      `${name}: endpoint must be an http or https URL without credentials`,
    );
    expect(() => make({ endpoint: "https://edge.example", settle: -1 })).toThrow(
      `${name}: settle must be from 0 to 2^52 ms`,
    );
    expect(() => make({ endpoint: "https://edge.example", tll: "1d" } as never)).toThrow("tll");
  });
});

it("refuses credentials that are missing, or would not fit into a header", () => {
  expect(() => fastly({ service: "a", token: "" })).toThrow("fastly: token must be a text without spaces");
  expect(() => cloudflare({ zone: "a", token: "a\nb" })).toThrow("cloudflare: token must be a text without spaces");
  expect(() => akamai({ ...CREDENTIALS, clientSecret: undefined as never })).toThrow("akamai: clientSecret must be");
  expect(() => akamai({ ...CREDENTIALS, network: "prod" as never })).toThrow(
    'akamai: network must be "production" or "staging", got "prod"',
  );
  expect(() => varnish({ urls: [] })).toThrow("varnish: urls must have the URL of each server, got none");
});
