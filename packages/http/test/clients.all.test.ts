import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { forkScript, isNightly, temporaryDirectory } from "@hotset/test-servers";
import { describe, expect, it, onTestFinished } from "vitest";
import type { LargeBodyProcess } from "./large-body-process.ts";

const run = promisify(execFile);
const has = async (program: string): Promise<boolean> =>
  run(program, ["--version"]).then(
    () => true,
    () => false,
  );
const hasCurl = await has("curl");
const hasChromium = isNightly && (await has("chromium"));

/** A server whose answers are cached, and how often its handler ran for each path. */
async function site(pages: Readonly<Record<string, readonly [type: string, body: string | Buffer]>>) {
  const loads: Record<string, number> = {};
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  const http = httpCache(cache.namespace("http"), { base: "http://shop.example" });
  const listener = cachedListener(http, ({ url = "/" }, response) => {
    const [path = ""] = url.split("?");
    const [type, body] = pages[path] ?? ["text/plain", "none"];
    loads[path] = (loads[path] ?? 0) + 1;
    response.writeHead(pages[path] === undefined ? 404 : 200, {
      "content-type": type,
      "cache-control": "max-age=60",
      etag: '"a"',
    });
    response.end(body);
  });
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => (server.closeAllConnections(), void server.close(), cache.close()));
  return { loads, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe.skipIf(!hasCurl)("curl", () => {
  it("H40 H41 H42 compares ETags, resumes, asks for ranges and heads, of one load", async () => {
    const { loads, url } = await site({ "/a": ["text/plain", "0123456789"] });
    const folder = await temporaryDirectory("curl");
    const [tag, file] = [join(folder, "etag"), join(folder, "file")];
    const curl = async (...words: readonly string[]): Promise<string> =>
      (await run("curl", ["-sS", "-m", "20", "-w", "%{http_code}", ...words, `${url}/a`])).stdout;
    expect(await curl("--etag-save", tag)).toBe("0123456789200");
    expect(readFileSync(tag, "utf8").trim()).toBe('"a"');
    expect(await curl("--etag-compare", tag)).toBe("304");
    expect([await curl("-r", "2-4"), await curl("-r", "-2"), await curl("-r", "20-")]).toEqual([
      "234206",
      "89206",
      "416",
    ]);
    expect(await curl("-I")).toMatch(/content-length: 10\r\n[^]*200$/i);
    expect(await curl("-r", "0-3", "-o", file)).toBe("206");
    expect(await curl("-C", "-", "-o", file)).toBe("206");
    expect(readFileSync(file, "utf8")).toBe("0123456789");
    expect(await curl("-H", "cache-control: no-cache", "--compressed", "--http1.0")).toBe("0123456789200");
    expect(loads).toEqual({ "/a": 1 });
  });
});

describe.skipIf(!hasCurl || !isNightly)("a slow client", () => {
  it("H18 H66 takes 1 GB, and the cache keeps its limit and 2 MB at most", async () => {
    const script = new URL("large-body-process.ts", import.meta.url);
    await using process = forkScript<LargeBodyProcess>(script, { execArgv: ["--expose-gc"] });
    const port = await process.call("start", 16_384);
    const words = ["-sS", "--limit-rate", "60M", "-o", "/dev/null", "-w", "%{size_download}"];
    const { stdout } = await run("curl", [...words, `http://127.0.0.1:${port}/`]);
    expect(stdout).toBe("1073741824");
    const samples = (await process.call("used")).toSorted((a, b) => a - b);
    // Freed bytes may be counted for some milliseconds.
    expect(samples[Math.floor(samples.length * 0.9)]).toBeLessThan(5_000_000 + 2_000_000);
    expect(samples.length).toBeGreaterThan(50);
  });
});

describe.skipIf(!hasChromium)("Chromium", () => {
  const SCRIPT = `
    const lines = [];
    const ask = async (mode, fields = {}) => {
      const answer = await fetch("/data", { cache: mode, headers: fields });
      lines.push(mode + " " + answer.status + " " + (await answer.text()).length + " " + (answer.headers.get("cache-status") ?? ""));
    };
    (async () => {
      for (const mode of ["default", "default", "no-cache", "reload", "no-store", "force-cache"]) await ask(mode);
      await ask("no-store", { range: "bytes=1-3" });
      document.body.textContent = lines.join("|");
    })();`;

  it("H40 H42 H43 reloads, validates and asks for ranges, and each is answered from one load", async () => {
    const { loads, url } = await site({
      "/": ["text/html", `<!doctype html><link rel="icon" href="data:,"><body><script>${SCRIPT}</script>`],
      "/data": ["text/plain", "0123456789"],
    });
    const profile = await temporaryDirectory("chromium");
    const flags = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      `--user-data-dir=${profile}`,
      "--virtual-time-budget=10000",
    ];
    const { stdout } = await run("chromium", [...flags, "--dump-dom", `${url}/`], {
      timeout: 280_000,
      maxBuffer: 2 ** 24,
    });
    const lines = (/<body>([^<]*)/.exec(stdout)?.[1] ?? stdout).split("|");
    expect(lines.map((line) => line.replace(/ hotset;.*/, ""))).toEqual([
      ...["default 200 10", "default 200 10", "no-cache 200 10", "reload 200 10", "no-store 200 10"],
      ...["force-cache 200 10", "no-store 206 3"],
    ]);
    expect(lines[3]).toMatch(/hotset; hit/);
    expect(loads["/data"]).toBe(1);
  });

  /** Opens `/` in Chromium until a page of it reports. */
  async function report(
    pages: Readonly<Record<string, readonly [type: string, body: string | Buffer]>>,
    stored?: string,
  ) {
    const { loads, url: shop } = await site(pages);
    if (stored !== undefined) await (await fetch(`${shop}${stored}`)).arrayBuffer();
    const asked: string[] = [];
    const said = Promise.withResolvers<string>();
    const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      if (request.url === "/report") {
        said.resolve(await text(request));
        return;
      }
      const { range = "" } = request.headers;
      const headers = Object.fromEntries(
        Object.entries(request.headers).filter(([name]) => /^(range|if-|cache-control|accept)/.test(name)),
      ) as Record<string, string>;
      const answer = await fetch(`${shop}${request.url}`, { headers });
      asked.push(`${request.url} ${range} ${answer.status}`);
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(Buffer.from(await answer.arrayBuffer()));
    };
    const server = createServer((request, response) => void handle(request, response)).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => (server.closeAllConnections(), void server.close()));
    const profile = await temporaryDirectory("chromium");
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"];
    const { port } = server.address() as AddressInfo;
    const browser = spawn("chromium", [...flags, `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/`], {
      stdio: "ignore",
    });
    onTestFinished(async () => {
      browser.kill();
      await once(browser, "exit");
    });
    return { said: await said.promise, loads, asked };
  }
  const page = (body: string, script: string): readonly [string, string] => [
    "text/html",
    `<!doctype html><link rel="icon" href="data:,"><body>${body}<script>
      const report = (body) => fetch("/report", { method: "POST", body });
      ${script}</script>`,
  ];

  it("H40 goes back and forward and reloads, and each page is loaded once", async () => {
    const script = `
      addEventListener("pageshow", () => setTimeout(() => {
        const steps = [...(sessionStorage.steps ?? "").split(" ").filter(Boolean), location.pathname];
        sessionStorage.steps = steps.join(" ");
        const next = [() => (location.href = "/b"), () => history.back(), () => history.forward(), () => location.reload()];
        (next[steps.length - 1] ?? (() => report(sessionStorage.steps)))();
      }, 200));`;
    const { said, loads } = await report({ "/": page("a", script), "/b": page("b", script) });
    expect([said, loads]).toEqual(["/ /b / /b /b", { "/": 1, "/b": 1 }]);
  });

  it("H42 seeks in a recording, by ranges of one load", async () => {
    const script = `
      const video = document.querySelector("video");
      video.onloadedmetadata = () => (video.currentTime = 20);
      video.onseeked = () => report(Math.round(video.duration) + " " + video.currentTime);
      video.onerror = () => report("error " + video.error.message);
      video.src = "/recording";`;
    const { said, loads, asked } = await report(
      { "/": page("<video preload=auto></video>", script), "/recording": ["audio/wav", recording(24)] },
      "/recording",
    );
    expect([said, loads["/recording"]]).toEqual(["24 20", 1]);
    const ranges = asked.filter((line) => line.startsWith("/recording"));
    expect(ranges[0]).toBe("/recording bytes=0- 206");
    expect(ranges.filter((line) => !line.endsWith(" 206"))).toEqual([]);
  });
});

/** Silence of so many seconds, as WAV: 44,100 samples a second of two bytes. */
function recording(seconds: number): Buffer {
  const bytes = seconds * 88_200;
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + bytes, 4);
  head.write("WAVEfmt ", 8);
  for (const [at, value] of [
    [16, 16],
    [24, 44_100],
    [28, 88_200],
    [40, bytes],
  ] as const)
    head.writeUInt32LE(value, at);
  for (const [at, value] of [
    [20, 1],
    [22, 1],
    [32, 2],
    [34, 16],
  ] as const)
    head.writeUInt16LE(value, at);
  head.write("data", 36);
  return Buffer.concat([head, Buffer.alloc(bytes)]);
}
