import { once } from "node:events";
import {
  Agent,
  createServer,
  request as send,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { createGzip, gunzipSync, type Gzip } from "node:zlib";
import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { cachedListener, expressCache, isLoad } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import express from "express";
import { describe, expect, it, onTestFinished } from "vitest";

function open(): ReturnType<typeof httpCache> {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  onTestFinished(() => cache.close());
  return httpCache(cache.namespace("http"), { base: "https://shop.example" });
}

interface Got {
  readonly status: string;
  readonly fields: IncomingMessage["headers"];
  readonly body: Buffer;
  readonly port: number | undefined;
}
type Ask = (path: string, method?: string) => Promise<Got>;

/** Over one connection that is kept. */
async function listen(listener: RequestListener): Promise<Ask> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => (agent.destroy(), server.closeAllConnections(), void server.close()));
  const { port } = server.address() as AddressInfo;
  return (path, method = "GET") =>
    new Promise((resolve, reject) => {
      const request = send({ agent, host: "127.0.0.1", port, path, method }, (response) => {
        const chunks: Buffer[] = [];
        const { localPort } = response.socket;
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: `${response.statusCode} ${response.statusMessage}`,
            fields: response.headers,
            body: Buffer.concat(chunks),
            port: localPort,
          }),
        );
      });
      request.on("error", reject).end();
    });
}

const called: string[] = [];
/** How handlers write: each answers 201 Made with `body`, x-a and two x-b. */
const FORMS: Readonly<Record<string, (response: ServerResponse) => unknown>> = {
  "writeHead with an object": (response) =>
    response.writeHead(201, "Made", { "Cache-Control": "max-age=60", "X-A": "1", "x-b": ["1", "2"] }).end("body"),
  "writeHead with a flat list": (response) =>
    response.writeHead(201, "Made", ["cache-control", "max-age=60", "x-a", "1", "x-b", "1", "x-b", "2"]).end("body"),
  "setHeader, and writeHead that adds": (response) => {
    response.setHeader("x-a", "0").setHeader("x-b", ["1", "2"]);
    response.writeHead(201, "Made", { "cache-control": "max-age=60", "x-a": "1" });
    response.end("body");
  },
  "status fields, write and end with encodings and callbacks": (response) => {
    Object.assign(response, { statusCode: 201, statusMessage: "Made" });
    response.setHeaders(new Headers({ "cache-control": "max-age=60", "x-a": "1" })).setHeader("x-b", ["1", "2"]);
    response.write("626f", "hex", () => called.push("written"));
    response.end("ZHk=", "base64", () => called.push("ended"));
  },
  "end with a callback alone": (response) => {
    response.writeHead(201, "Made", { "cache-control": "max-age=60", "x-a": "1", "x-b": ["1", "2"] });
    response.write(Buffer.from("body"));
    expect(response.end(() => called.push("ended"))).toBe(response);
  },
  "flushHeaders first, and bytes later": (response) => {
    Object.assign(response, { statusCode: 201, statusMessage: "Made" });
    response.setHeader("cache-control", "max-age=60").setHeader("x-a", "1").setHeader("x-b", ["1", "2"]);
    response.flushHeaders();
    setTimeout(() => response.end(new Uint8Array(Buffer.from("body"))), 5);
  },
  "a Transfer-Encoding that is copied, as proxies do": (response) => {
    const fields = { "cache-control": "max-age=60", "x-a": "1", "x-b": ["1", "2"], "transfer-encoding": "chunked" };
    response.writeHead(201, "Made", fields).write("bo");
    response.end("dy");
  },
  "trailers, and their names in Trailer": (response) => {
    const fields = { "cache-control": "max-age=60", "x-a": "1", "x-b": ["1", "2"], trailer: "x-c" };
    response.writeHead(201, "Made", fields).write("bo");
    response.addTrailers({ "x-c": "1" });
    response.end("dy");
  },
  "a stream that is piped": (response) => {
    response.writeHead(201, "Made", { "cache-control": "max-age=60", "x-a": "1", "x-b": ["1", "2"] });
    Readable.from(["bo", Buffer.from("dy")]).pipe(response);
  },
};

describe("H88: what handlers of node:http write", () => {
  // A POST has the response of its client, and the load of a GET one of its own.
  it.each(Object.keys(FORMS).flatMap((form) => ["GET", "POST"].map((method) => [form, method] as const)))(
    "%s, for a %s",
    async (form, method) => {
      called.length = 0;
      let runs = 0;
      const ask = await listen(
        cachedListener(open(), (_, response) => {
          runs++;
          FORMS[form]!(response);
        }),
      );
      for (const round of [1, 2]) {
        const { status, fields, body } = await ask("/", method);
        expect([round, status, fields["x-a"], fields["x-b"], body.toString()]).toEqual([
          round,
          "201 Made",
          "1",
          "1, 2",
          "body",
        ]);
      }
      expect(runs).toBe(method === "GET" ? 1 : 2);
      const callbacks = form.includes("callbacks") ? ["written", "ended"] : form.includes("callback") ? ["ended"] : [];
      expect(called).toEqual(method === "GET" ? callbacks : [...callbacks, ...callbacks]);
    },
  );

  /** Handlers that write more than may wait for a reader. */
  const LARGE: Readonly<Record<string, (chunks: readonly Buffer[], response: ServerResponse) => unknown>> = {
    pipe: (chunks, response) => Readable.from(chunks).pipe(response),
    pipeline: (chunks, response) => pipeline(Readable.from(chunks), response),
    "waits for drain": async (chunks, response) => {
      for (const chunk of chunks) {
        if (response.writableNeedDrain) await once(response, "drain");
        response.write(chunk);
      }
      response.end();
    },
  };

  it.each(Object.keys(LARGE).flatMap((form) => ["GET", "POST"].map((method) => [form, method] as const)))(
    "a large body: %s, for a %s",
    async (form, method) => {
      const chunks = Array.from({ length: 40 }, (_, i) => Buffer.alloc(65_536, i));
      const handled: Promise<unknown>[] = [];
      const ask = await listen(
        cachedListener(open(), (_, response) => {
          response.writeHead(200, { "cache-control": "max-age=60" });
          handled.push(finished(response), Promise.resolve(LARGE[form]!(chunks, response)));
        }),
      );
      for (const _ of [1, 2]) expect((await ask("/", method)).body.equals(Buffer.concat(chunks))).toBe(true);
      await Promise.all(handled);
      expect(handled).toHaveLength(method === "GET" ? 2 : 4);
    },
  );

  it.each(["GET", "POST"])("a response that has ended says so, as does its request, for a %s", async (method) => {
    const seen: string[] = [];
    const ended = Promise.withResolvers<void>();
    const ask = await listen(
      cachedListener(open(), (request, response) => {
        for (const name of ["finish", "close"]) response.once(name, () => seen.push(name));
        request.once("aborted", () => seen.push("aborted"));
        const all = [finished(response), once(response, "close"), once(request, "close")];
        void Promise.all(all).then(() => ended.resolve(), ended.reject);
        response.writeHead(200, { "cache-control": "max-age=60" }).end("body");
      }),
    );
    expect((await ask("/", method)).body.toString()).toBe("body");
    await ended.promise;
    expect(seen).toEqual(["finish", "close"]);
  });

  it("a reader that leaves ends the writes that it kept waiting, the response, and its request", async () => {
    const large = Buffer.alloc(1_000_000);
    const written = Promise.withResolvers<Error | null | undefined>();
    const closed = Promise.withResolvers<boolean>();
    const cache = createCache({ name: "shop" }).tier(memory()).build();
    onTestFinished(() => cache.close());
    const http = httpCache(cache.namespace("http"), { base: "https://shop.example", onAbort: "abort" });
    const listener = cachedListener(http, (request, response) => {
      response.writeHead(200, { "cache-control": "max-age=60" });
      request.once("close", () => closed.resolve(response.closed));
      const next = (error?: Error | null): void => {
        if (error) written.resolve(error);
        else response.write(large, next);
      };
      next();
    });
    const server = createServer(listener).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => (server.closeAllConnections(), void server.close()));
    const request = send({ host: "127.0.0.1", port: (server.address() as AddressInfo).port }).end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    await once(response, "readable");
    response.destroy();
    expect(await written.promise).toBeInstanceOf(Error);
    expect(await closed.promise).toBe(true);
  });

  it.each(["GET", "POST"])("after its end a response has no drain, for a %s", async (method) => {
    let drains = 0;
    const ended = Promise.withResolvers<void>();
    const ask = await listen(
      cachedListener(open(), (_, response) => {
        response.on("drain", () => drains++);
        response.once("close", ended.resolve);
        response.writeHead(200, { "cache-control": "max-age=60" }).end(Buffer.alloc(1_000_000));
      }),
    );
    expect((await ask("/", method)).body.byteLength).toBe(1_000_000);
    await ended.promise;
    expect(drains).toBe(0);
  });

  it("H20 the answer to a POST that says it is what a GET gives is stored, as its bytes are", async () => {
    let runs = 0;
    const ask = await listen(
      cachedListener(open(), ({ url }, response) => {
        runs++;
        response.setHeader("cache-control", "max-age=60").setHeader("content-location", url!);
        response.setHeader("x-b", ["1", "2"]).end("für alle");
      }),
    );
    expect((await ask("/", "POST")).fields["cache-status"]).toBe("hotset; fwd=method; fwd-status=200");
    await expect.poll(async () => (await ask("/")).fields["cache-status"]).toMatch(/^hotset; hit/);
    const { body, fields } = await ask("/");
    expect([body.toString(), fields["x-b"]]).toEqual(["für alle", "1, 2"]);
    expect(runs).toBe(1);
  });

  it("H20 so is one whose body comes after its head, as through a proxy, if it has a length", async () => {
    let runs = 0;
    const ask = await listen(
      cachedListener(open(), ({ url }, response) => {
        runs++;
        const named = { "cache-control": "max-age=60", "content-location": url! };
        response.writeHead(200, url === "/length" ? { ...named, "content-length": "7" } : named);
        setImmediate(() => {
          response.write("two ");
          setImmediate(() => response.end(Buffer.from("one")));
        });
      }),
    );
    const statuses: string[] = [];
    for (const path of ["/length", "/chunked"]) {
      expect((await ask(path, "POST")).body.toString()).toBe("two one");
      await expect.poll(async () => (await ask(path)).fields["cache-status"]).toMatch(/^hotset; hit/);
      statuses.push(`${path} ${runs}`);
    }
    expect(statuses).toEqual(["/length 1", "/chunked 3"]);
  });

  it.each<[string, (response: ServerResponse) => void, number | "cut"]>([
    ["is longer than a connection holds", (response) => void response.end(Buffer.alloc(100_000)), 100_000],
    ["fills the connection, with its head", (response) => fillThenEnd(response), 65_500],
    ["never comes", (response) => void response.destroy(), "cut"],
    ["breaks off", ({ socket }) => void socket!.destroy(), "cut"],
  ])(
    "H20 H69 the answer to a POST whose body %s leaves as it is, and is stored if it is whole",
    async (_, write, bytes) => {
      const ask = await listen(
        cachedListener(open(), ({ method, url }, response) => {
          if (method === "GET") return void response.writeHead(200, { "cache-control": "no-store" }).end("a page");
          const length = bytes === "cut" ? 10 : bytes;
          const fields = { "cache-control": "max-age=60", "content-location": url!, "content-length": `${length}` };
          response.writeHead(200, fields);
          response.flushHeaders();
          setImmediate(() => write(response));
        }),
      );
      const answer = await ask("/", "POST").then(
        ({ body }) => body.byteLength,
        () => "cut",
      );
      expect(answer).toBe(bytes);
      const stored = bytes === "cut" ? "a page".length : bytes;
      await expect.poll(async () => (await ask("/")).body.byteLength).toBe(stored);
    },
  );

  it("HEAD, 204 and 304 end without a body, and the connection is kept", async () => {
    const ask = await listen(
      cachedListener(open(), ({ url }, response) => {
        if (url === "/none") response.writeHead(204, { "cache-control": "max-age=60" }).end();
        else response.writeHead(200, { "cache-control": "max-age=60", "content-length": "4" }).end("body");
      }),
    );
    const answers: Got[] = [];
    for (const [path, method] of [["/"], ["/", "HEAD"], ["/none"], ["/none"], ["/", "HEAD"], ["/"]] as const)
      answers.push(await ask(path, method));
    expect(answers.map(({ status, body }) => [status, body.toString()])).toEqual([
      ["200 OK", "body"],
      ["200 OK", ""],
      ["204 No Content", ""],
      ["204 No Content", ""],
      ["200 OK", ""],
      ["200 OK", "body"],
    ]);
    expect(answers[1]!.fields["content-length"]).toBe("4");
    expect(new Set(answers.map(({ port }) => port)).size).toBe(1);
  });
});

describe("H96: a logger that reads a response which has ended", () => {
  const handle = ({ url }: IncomingMessage, response: ServerResponse): void => {
    response.setHeader("cache-control", url === "/private" ? "private" : "max-age=60");
    response.setHeader("content-type", "text/plain").setHeader("x-b", ["1", "2"]).setHeader("content-length", 4);
    response.end("body");
  };
  const logged: unknown[] = [];
  const logs = (response: ServerResponse): void =>
    void response.on("finish", () => {
      const read = (name: string): string => JSON.stringify(response.getHeader(name));
      const { statusCode, headersSent } = response;
      const length = Number(response.getHeader("Content-Length"));
      logged.push([statusCode, headersSent, length, read("content-type"), read("x-b")]);
    });
  const served: Readonly<Record<string, (pages: ReturnType<typeof open>) => RequestListener>> = {
    "node:http": (pages) => {
      const cached = cachedListener(pages, handle);
      return (request, response) => (logs(response), cached(request, response));
    },
    Express: (pages) => {
      const app = express();
      app.use((request, response, next) => (isLoad(request) || logs(response), next()));
      return app.use(expressCache(pages)).use(handle);
    },
  };

  it.each(Object.keys(served))("finds its fields on a miss, on a hit, and where it is private: %s", async (name) => {
    logged.length = 0;
    const ask = await listen(served[name]!(open()));
    const fields = (await ask("/")).fields;
    expect((await ask("/")).fields["cache-status"]).toMatch(/^hotset; hit/);
    for (const _ of [1, 2]) expect((await ask("/private")).fields["cache-status"]).toMatch(/detail=private/);
    expect(fields["x-b"]).toBe("1, 2");
    expect(logged).toEqual(Array.from({ length: 4 }, () => [200, true, 4, `"text/plain"`, `["1","2"]`]));
  });
});

/** Heads with which Node itself may find fault: with Trailer where nothing can follow a body, it does. */
const HEADS: Readonly<Record<string, Record<string, string>>> = {
  Trailer: { trailer: "x-c" },
  "Trailer and Transfer-Encoding": { trailer: "x-c", "transfer-encoding": "chunked", "keep-alive": "timeout=5" },
  "Transfer-Encoding of more than one": { "transfer-encoding": "gzip, chunked" },
  "Connection: close": { connection: "close" },
  "Connection with a name": { connection: "x-a", "x-a": "1", "content-length": "4" },
  Expect: { expect: "100-continue" },
  "a value with a line break": { "x-a": "1\n2" },
};

it.each(Object.keys(HEADS))("H88: %s is answered as without a cache", async (head) => {
  const handle = (_: unknown, response: ServerResponse): void => {
    response.writeHead(201, "Made", { "cache-control": "max-age=60", ...HEADS[head] }).end("body");
  };
  const [plain, cached] = [express(), express()];
  cached.use(expressCache(open()));
  for (const app of [plain, cached]) app.set("env", "test").use(handle);
  const shown = async (ask: Ask): Promise<string> => {
    const { status, body } = await ask("/");
    return status === "201 Made" ? body.toString() : status;
  };
  const expected = head.startsWith("a value") ? "500 Internal Server Error" : "body";
  for (const ask of [await listen(plain), await listen(cached), await listen(cachedListener(open(), handle))])
    for (const _ of [1, 2]) expect(await shown(ask)).toBe(expected);
});

describe("H88: Express", () => {
  /** As `compression` does: it replaces what a response writes with, and leaves what has a coding as it is. */
  const compress = (_: unknown, response: ServerResponse, next: () => void): void => {
    const { writeHead, write, end } = response;
    let gzip: Gzip | undefined;
    const begin = (): void => {
      if (gzip !== undefined || response.headersSent || response.hasHeader("content-encoding")) return;
      response.removeHeader("content-length");
      response.setHeader("content-encoding", "gzip").setHeader("vary", "accept-encoding");
      gzip = createGzip();
      gzip.on("data", (chunk: Buffer) => write.call(response, chunk, "utf8"));
      gzip.on("end", () => end.call(response, undefined, "utf8"));
    };
    Object.assign(response, {
      writeHead: (...parameters: never) => (begin(), writeHead.apply(response, parameters)),
      write: (chunk: Buffer) => (begin(), gzip === undefined ? write.call(response, chunk, "utf8") : gzip.write(chunk)),
      end: (chunk?: Buffer) => {
        begin();
        if (gzip === undefined) end.call(response, chunk, "utf8");
        else gzip.end(chunk);
        return response;
      },
    });
    next();
  };

  it.each(["before", "behind"])("compression %s the cache: each client can read its answer", async (place) => {
    let runs = 0;
    const app = express();
    if (place === "before") app.use(compress);
    app.use(expressCache(open()));
    if (place === "behind") app.use(compress);
    app.get("/", (_, response) => {
      runs++;
      response.set("cache-control", "max-age=60").json({ a: 1 });
    });
    const ask = await listen(app);
    for (let i = 0; i < 3; i++) {
      const { status, fields, body } = await ask("/");
      expect([status, fields["content-encoding"], gunzipSync(body).toString()]).toEqual(["200 OK", "gzip", '{"a":1}']);
    }
    expect(runs).toBe(1);
  });

  it("json, send, sendStatus, redirect, and an error after the first byte", async () => {
    const app = express();
    app.use(expressCache(open()));
    app.use((_, response, next) => (response.set("cache-control", "max-age=60"), next()));
    app.get("/json", (_, response) => void response.json({ a: 1 }));
    app.get("/send", (_, response) => void response.send(Buffer.from("bytes")));
    app.get("/status", (_, response) => void response.sendStatus(404));
    app.get("/redirect", (_, response) => response.redirect(301, "/json"));
    app.get("/trailer", (_, response) => {
      response.set("trailer", "x-c").write("bo");
      response.addTrailers({ "x-c": "1" });
      response.end("dy");
    });
    app.get("/broken", (_, response) => {
      response.write("first");
      setTimeout(() => response.destroy(), 5);
    });
    const ask = await listen(app);
    for (let i = 0; i < 2; i++) {
      expect((await ask("/json")).body.toString()).toBe('{"a":1}');
      expect((await ask("/send")).body.toString()).toBe("bytes");
      expect((await ask("/status")).status).toBe("404 Not Found");
      expect((await ask("/redirect")).fields.location).toBe("/json");
      expect((await ask("/trailer")).body.toString()).toBe("body");
      await expect(ask("/broken")).rejects.toThrow();
    }
  });
});

/** At the pace of the connection. */
function fillThenEnd(response: ServerResponse): void {
  let left = 100;
  const more = (): void => {
    while (left > 0) {
      left -= 1;
      if (!response.write(Buffer.alloc(655)) && left > 0) return void response.once("drain", more);
    }
    response.end();
  };
  more();
}
