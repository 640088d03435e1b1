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
/** All that the peer dependency allows. */
const versions = (JSON.parse(npm("view", "@redis/client", "versions", "--json")) as string[]).filter((each) =>
  /^6\.\d+\.\d+$/.test(each),
);

function queueOf(version: string): NodeQueue {
  const at = join(folder, version);
  npm("install", "--prefix", at, "--no-audit", "--no-fund", `@redis/client@${version}`);
  const { default: Queue } = createRequire(join(at, "package.json"))(
    join(at, "node_modules/@redis/client/dist/lib/client/commands-queue.js"),
  ) as { default: new (protocol: 3, max: null, moved: () => void, id: string) => NodeQueue };
  return new Queue(3, null, () => undefined, "");
}

describe.each(versions)("@redis/client %s", (version) => {
  it("takes the commands of one turn for one, and its replies reach their calls", async () => {
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
    const written = Array.from(queue.commandsToWrite(), (chunks) => chunks.map(String).join(""));
    const text = ["a", "b", "c"].map((name) => `*2\r\n$3\r\nGET\r\n$1\r\n${name}\r\n`).join("");
    expect([unconnected.sent, written]).toEqual([1, [text]]);
    queue.decoder.write(Buffer.from("$1\r\nA\r\n>2\r\n$10\r\ninvalidate\r\n*0\r\n-ERR no\r\n$1\r\nC\r\n"));
    await flush();
    expect(results).toEqual([["A", "Error: ERR no"], ["C"]]);
  });
});
