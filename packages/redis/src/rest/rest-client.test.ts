import { flush, gate, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { WRITE } from "../lua/entry-scripts.ts";
import { RestClient } from "./rest-client.ts";
import { MARK, TOO_LATE } from "./rest-scripts.ts";

const DEADLINE_MS = 1_000;
const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A service whose clock is ahead of that of this process: it refuses each first write, and runs what comes after. */
function open() {
  const clock = new TestClock();
  const writes: string[] = [];
  const beforeReply = { call: (): void => undefined };
  const takes = gate();
  const answerTo = (words: readonly string[]): unknown => {
    const isWrite = words.includes("{k}");
    if (isWrite) writes.push("write");
    if (isWrite && writes.length === 1) {
      beforeReply.call();
      return { error: TOO_LATE };
    }
    const result = isWrite ? base64("OK") : [[base64("1")], []];
    return { result: [result, base64("1000"), base64("0"), base64(MARK)] };
  };
  const client = new RestClient({
    url: "https://redis.example",
    token: "t",
    clock,
    deadlineMs: DEADLINE_MS,
    maxRequestBytes: 1_000_000,
    ended: () => undefined,
    fetch: (async (url: string, { body }: { readonly body: string }) => {
      if (body.includes("other")) await takes.opened;
      const given = JSON.parse(body) as (readonly string[])[] | readonly string[];
      const answer = url.endsWith("/pipeline")
        ? (given as (readonly string[])[]).map(answerTo)
        : answerTo(given as readonly string[]);
      return Response.json(answer);
    }) as never,
  });
  const write = (): Promise<unknown> =>
    client.sendCommand(["EVALSHA", WRITE.sha, "1", "{k}", "data", "1", "1", "", ""]);
  return { clock, writes, write, client, beforeReply, takes };
}

it("a write of the cache that came too late is sent again while its caller waits", async () => {
  const { writes, write } = open();
  await write();
  expect(writes).toHaveLength(2);
});

it("a write of the cache that came too late is not sent again once its caller has given it up", async () => {
  const { clock, writes, write, client, beforeReply, takes } = open();
  // It waits for another request, and both together take longer than its caller waits.
  const other = client.sendCommand(["GET", "other"]);
  await flush();
  beforeReply.call = () => clock.advance(DEADLINE_MS * 0.6);
  const writing = write();
  clock.advance(DEADLINE_MS * 0.6);
  takes.open();
  await other;
  await expect(writing).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  expect(writes).toHaveLength(1);
});
