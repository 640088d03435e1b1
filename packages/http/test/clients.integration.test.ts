import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { isNightly } from "@hotset/test-servers";
import { afterEach, describe, expect, it } from "vitest";

const run = promisify(execFile);
const has = async (program: string): Promise<boolean> =>
  run(program, ["--version"]).then(
    () => true,
    () => false,
  );
const hasCurl = await has("curl");
const hasChromium = isNightly && (await has("chromium"));

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

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
  closing.push(() => (server.closeAllConnections(), server.close(), cache.close()));
  return { loads, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe.skipIf(!hasCurl)("curl", () => {
  it("H40 H41 H42 compares ETags, resumes, asks for ranges and heads, of one load", async () => {
    const { loads, url } = await site({ "/a": ["text/plain", "0123456789"] });
    const folder = mkdtempSync(join(tmpdir(), "hotset-curl-"));
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

describe.skipIf(!hasChromium)("Chromium", () => {
  const SCRIPT = `
    const told = [];
    const ask = async (mode, fields = {}) => {
      const answer = await fetch("/data", { cache: mode, headers: fields });
      told.push(mode + " " + answer.status + " " + (await answer.text()).length + " " + (answer.headers.get("cache-status") ?? ""));
    };
    (async () => {
      for (const mode of ["default", "default", "no-cache", "reload", "no-store", "force-cache"]) await ask(mode);
      await ask("no-store", { range: "bytes=1-3" });
      document.body.textContent = told.join("|");
    })();`;

  it("H40 H42 H43 reloads, validates and asks for ranges, and each is answered from one load", async () => {
    const { loads, url } = await site({
      "/": ["text/html", `<!doctype html><link rel="icon" href="data:,"><body><script>${SCRIPT}</script>`],
      "/data": ["text/plain", "0123456789"],
    });
    const profile = mkdtempSync(join(tmpdir(), "hotset-chromium-"));
    const flags = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      `--user-data-dir=${profile}`,
      "--virtual-time-budget=10000",
    ];
    const { stdout } = await run("chromium", [...flags, "--dump-dom", `${url}/`], {
      timeout: 90_000,
      maxBuffer: 2 ** 24,
    });
    const told = (/<body>([^<]*)/.exec(stdout)?.[1] ?? stdout).split("|");
    expect(told.map((line) => line.replace(/ hotset;.*/, ""))).toEqual([
      ...["default 200 10", "default 200 10", "no-cache 200 10", "reload 200 10", "no-store 200 10"],
      ...["force-cache 200 10", "no-store 206 3"],
    ]);
    expect(told[3]).toMatch(/hotset; hit/);
    expect(loads["/data"]).toBe(1);
  });
});
