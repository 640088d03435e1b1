import { describe, expect, it } from "vitest";
import { EventLines, MAX_EVENT_CHARS } from "./event-lines.ts";

/** What comes of chunks, a line each. */
function received(...chunks: readonly string[]): readonly string[] {
  const lines: string[] = [];
  const events = new EventLines({ event: (data) => lines.push(`event ${data}`), unclear: () => lines.push("unclear") });
  for (const chunk of chunks) events.push(chunk);
  return lines;
}

describe("server-sent events", () => {
  it.each<[string, string, readonly string[]]>([
    ["one event", "data: a\n\n", ["event a"]],
    ["two events", "data: a\n\ndata: b\n\n", ["event a", "event b"]],
    [
      "several lines of data, as the standard writes line feeds",
      "data: a\ndata:  b\ndata:c\n\n",
      ["unclear", "unclear", "event a\n b\nc"],
    ],
    ["line ends of the other kinds: both", "data: a\r\n\r\ndata: b\r\n\r\n", ["event a", "event b"]],
    ["line ends of the other kinds: carriage returns", "data: a\r\rdata: b\r\rd", ["event a", "event b"]],
    [
      "a message that ends in a carriage return, as it is",
      "data: a\n\ndata: b\r\n\n",
      ["event a", "unclear", "event b"],
    ],
    [
      "other fields, comments and data without a colon",
      ": x\nevent: m\nid: 1\nretry: 5\ndata: a\ndata\n\n",
      ["unclear", "event a\n"],
    ],
    ["an event that has not ended", "data: a\n", []],
    ["half a line", "data: a\n\ndata: b", ["event a"]],
    ["nothing but comments and blank lines", "\n\n: here\n\n", []],
    ["a line of no field, as a service leaves that cuts a message", "data: a\nrest of it\n\n", ["unclear", "event a"]],
    ["a line with a colon that is of no field", "data: a\nkey: rest\n\n", ["unclear", "event a"]],
  ])("%s", (_, text, expected) => {
    expect(received(text)).toEqual(expected);
    // However it is divided on the way.
    for (let size = 1; size <= 5; size += 1)
      expect(received(...(text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? []))).toEqual(expected);
  });

  it("an empty chunk between the two halves of a line end changes nothing", () => {
    expect(received("data: a\r", "", "\n\r", "\n")).toEqual(["event a"]);
  });

  it.each([
    ["in one line", [`data: ${"x".repeat(MAX_EVENT_CHARS)}`]],
    ["in many chunks", Array.from({ length: 1_025 }, () => "x".repeat(MAX_EVENT_CHARS / 1_024))],
    ["in many lines", Array.from({ length: 1_025 }, () => `data: ${"x".repeat(MAX_EVENT_CHARS / 1_024)}\n`)],
    ["whose end comes with it", [`data: ${"x".repeat(MAX_EVENT_CHARS)}\n\n`]],
  ])("an event that is too large is refused: %s", (_, chunks) => {
    expect(() => received(...chunks)).toThrow(`an event of more than ${MAX_EVENT_CHARS} characters`);
  });
});
