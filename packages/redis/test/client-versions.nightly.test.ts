import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { flush } from "@hotset/testing";
import { afterAll, describe, expect, it } from "vitest";
import { sendAll } from "../src/connection/trip.ts";
import { unconnectedOver, type NodeQueue } from "./wire.ts";

const folder = mkdtempSync(join(tmpdir(), "hotset-client-versions-"));
afterAll(() => rmSync(folder, { recursive: true }));

const npm = (...words: string[]): string => execFileSync("npm", words, { encoding: "utf8" });
const published = JSON.parse(npm("view", "@redis/client", "versions", "--json")) as string[];
/** All that the dependency allows. */
const inRange = published.filter((each) => /^6\.\d+\.\d+$/.test(each));
/** What users may install next, by an override: a prerelease, or the next major version. */
const next = published.slice(published.indexOf(inRange.at(-1)!) + 1).slice(-1);

function queueOf(version: string): NodeQueue {
  const at = join(folder, version);
  npm("install", "--prefix", at, "--no-audit", "--no-fund", `@redis/client@${version}`);
  const { default: Queue } = createRequire(join(at, "package.json"))(
    join(at, "node_modules/@redis/client/dist/lib/client/commands-queue.js"),
  ) as { default: new (protocol: 3, max: null, moved: () => void, id: string) => NodeQueue };
  return new Queue(3, null, () => undefined, "");
}

describe.each([...inRange, ...next])("@redis/client %s", (version) => {
  it("takes the commands of one turn for one, or, beyond the range, one by one; replies reach their calls", async () => {
    const queue = queueOf(version);
    const unconnected = unconnectedOver(queue);
    const { client } = unconnected;
    const results: unknown[] = [];
    const ask = (...names: string[]): unknown =>
      sendAll(
        client,
        names.map((name) => ["GET", name]),
        (replies) => results.push(replies.map(String)),
      );
    ask("a", "b");
    ask("c");
    const written = Array.from(queue.commandsToWrite(), (chunks) => chunks.map(String).join("")).join("");
    const text = ["a", "b", "c"].map((name) => `*2\r\n$3\r\nGET\r\n$1\r\n${name}\r\n`).join("");
    expect(written).toBe(text);
    expect(unconnected.sent).toBe(inRange.includes(version) || client.lane !== undefined ? 1 : 3);
    queue.decoder.write(Buffer.from("$1\r\nA\r\n>2\r\n$10\r\ninvalidate\r\n*0\r\n-ERR no\r\n$1\r\nC\r\n"));
    await flush();
    expect(results).toEqual([["A", "Error: ERR no"], ["C"]]);
  });
});
