import { InvalidArgumentError, type StoredEntry } from "@hotset/core";
import { describe, expect, it } from "vitest";
import type { Args } from "../connection/command-queue.ts";
import {
  decodeEntry,
  encodeEntry,
  hashes,
  metaText,
  UNBOUNDED_WINDOW_MS,
  versionIn,
  writeIdOf,
} from "./entry-fields.ts";

const NOW = 1_700_000_000_000;
const entry = (times: { staleInMs: number; expiresInMs: number }, meta = "json none"): StoredEntry => ({
  data: Uint8Array.of(0, 255, 10),
  meta,
  ...times,
});
const fieldsOf = (args: readonly (string | Buffer)[]) =>
  Object.fromEntries(
    Array.from({ length: (args.length - 1) / 2 }, (_, i) => [
      args[2 * i + 1],
      args[2 * i + 2]?.toString("latin1" as never),
    ]),
  );

describe("what is written", () => {
  it("golden: an entry with a stale window (R1-09)", () => {
    expect(encodeEntry(entry({ staleInMs: 60_000, expiresInMs: 360_000 }), "full", NOW, "AAAABBBBCCCCDDDD")).toEqual([
      "360000",
      "d",
      Buffer.from([0, 255, 10]),
      "s",
      "300000 AAAABBBBCCCCDDDD;json none",
    ]);
  });

  it.each([
    ["fresh to its end", { staleInMs: 60_000, expiresInMs: 60_000 }, "60000", "0 id;"],
    ["stale when written", { staleInMs: -500, expiresInMs: 60_000 }, "60000", "60500 id;"],
    ["of less than a second", { staleInMs: 5, expiresInMs: 10 }, "10", "5 id;"],
    ["of the shortest life", { staleInMs: 1, expiresInMs: 1 }, "1", "0 id;"],
    ["of fractions, rounded down", { staleInMs: 5.9, expiresInMs: 10.9 }, "10", "5 id;"],
    ["that claims to be fresh beyond its end", { staleInMs: 90, expiresInMs: 60 }, "60", "0 id;"],
    ["without an end", { staleInMs: Infinity, expiresInMs: Infinity }, "", "0 id;"],
    ["that is always fresh, and ends", { staleInMs: Infinity, expiresInMs: 60 }, "60", "0 id;"],
    ["without an end that becomes stale", { staleInMs: 1_000, expiresInMs: Infinity }, "3155760001000", "- id;"],
    ["of nearly 2^53 ms", { staleInMs: 1, expiresInMs: 2 ** 53 - 1 }, "9007199254740991", "9007199254740990 id;"],
    ["of more than 2^53 ms, which is without an end", { staleInMs: 1, expiresInMs: 2 ** 60 }, "3155760000001", "- id;"],
  ])("golden: one %s", (_, times, ttl, head) => {
    const args = encodeEntry(entry(times, ""), "full", NOW, "id")!;
    expect(args[0]).toBe(ttl);
    expect(fieldsOf(args)).toEqual({ d: "\0\xff\n", s: head });
  });

  it("golden: the plain layout has value and staleness only", () => {
    expect(encodeEntry(entry({ staleInMs: 60_000, expiresInMs: 360_000 }), "plain", NOW + 0.7, "id")).toEqual([
      "360000",
      "d",
      Buffer.from([0, 255, 10]),
      "s",
      "1700000060000",
    ]);
    expect(encodeEntry(entry({ staleInMs: Infinity, expiresInMs: Infinity }), "plain", NOW, "id")).toEqual([
      "",
      "d",
      Buffer.from([0, 255, 10]),
    ]);
    expect(encodeEntry(entry({ staleInMs: 5, expiresInMs: Infinity }), "plain", NOW, "id")).toEqual([
      "",
      "d",
      Buffer.from([0, 255, 10]),
      "s",
      "1700000000005",
    ]);
  });

  it("C9: nothing for an entry whose lifetime is over", () => {
    for (const expiresInMs of [0, -1, 0.9, -Infinity])
      expect(encodeEntry(entry({ staleInMs: 10, expiresInMs }), "full", NOW, "id")).toBe(undefined);
  });

  it("refuses times that are not numbers", () => {
    expect(() => encodeEntry(entry({ staleInMs: NaN, expiresInMs: 10 }), "full", NOW, "id")).toThrow(
      InvalidArgumentError,
    );
    expect(() => encodeEntry(entry({ staleInMs: 10, expiresInMs: NaN }), "full", NOW, "id")).toThrow(
      InvalidArgumentError,
    );
  });

  it("takes a view into a larger buffer without copying it", () => {
    const bytes = new Uint8Array(100).fill(7);
    const args = encodeEntry(
      { ...entry({ staleInMs: 1, expiresInMs: 1 }), data: bytes.subarray(10, 13) },
      "full",
      NOW,
      "id",
    )!;
    expect(args[2]).toEqual(Buffer.from([7, 7, 7]));
    expect((args[2] as Buffer).buffer).toBe(bytes.buffer);
  });

  it("its id is the version of the entry; without one, and for that of another program, a new one", () => {
    const of = (version?: string) =>
      writeIdOf(
        { ...entry({ staleInMs: 1, expiresInMs: 1 }), ...(version === undefined ? undefined : { version }) },
        () => "new",
      );
    expect(of()).toBe("new");
    expect(of("-")).toBe("new");
    expect(of("d3csFcD_LEOr01-S")).toBe("d3csFcD_LEOr01-S");
    for (const version of ["", "*", "!", "?", "a b", "é", "x".repeat(33), "id\n"])
      expect(() => of(version)).toThrow(InvalidArgumentError);
  });
});

const bytes = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text, "latin1"));
const read = (d: string | null, s: string | null, ttlMs: number, layout: "full" | "plain" = "full") =>
  decodeEntry([bytes(d), bytes(s)], ttlMs, () => NOW, layout);

it.each(["shop::1", "shop::\u{1f600}é", "x".repeat(1_000)])("one text has both commands of a read, of %.20s", (key) => {
  const { commands, text } = hashes("full").read;
  const words = (args: Args): readonly string[] =>
    args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${String(arg)}\r\n`);
  const rendered = commands(key).map((args) => `*${args.length}\r\n${words(args).join("")}`);
  expect(Buffer.from(text!(key), "latin1").toString()).toBe(rendered.join(""));
});

describe("what is read", () => {
  it("comes back as it was written (A41)", () => {
    for (const times of [
      { staleInMs: 60_000, expiresInMs: 360_000 },
      { staleInMs: 5, expiresInMs: 5 },
      { staleInMs: -86_400_000, expiresInMs: 5 },
    ]) {
      const fields = fieldsOf(encodeEntry(entry(times), "full", NOW, "id")!) as Record<"d" | "s", string>;
      expect(read(fields.d, fields.s, times.expiresInMs + 1)).toEqual({
        data: Buffer.from([0, 255, 10]),
        meta: "json none",
        version: "id",
        ...times,
      });
    }
  });

  it("freshness is what remains of the TTL before the stale window, independent of clocks", () => {
    expect(read("v", "300 id;", 1_000)?.staleInMs).toBe(699);
    expect(read("v", "300 id;", 200)?.staleInMs).toBe(-101);
    expect(read("v", "300 id;", 301)?.staleInMs).toBe(0);
  });

  it("C23: a life is rounded down to whole milliseconds: a PTTL of 2 leaves 1, and a PTTL of 1 is a miss", () => {
    expect(read("v", "0 id;", 2)).toMatchObject({ staleInMs: 1, expiresInMs: 1 });
    expect(read("v", null, 2)).toMatchObject({ staleInMs: 1, expiresInMs: 1 });
    expect(read("v", "0 id;", 1)).toBe(undefined);
    expect(read("v", "1", 1)).toBe(undefined);
  });

  it("R1-08 A40: a PTTL of 0 or -2 is a miss, and -1 means without expiry", () => {
    expect(read("v", "0 id;", 0)).toBe(undefined);
    expect(read("v", "0 id;", -2)).toBe(undefined);
    expect(read("v", "1", 0)).toBe(undefined);
    expect(read("v", "1", -2)).toBe(undefined);
    expect(read("v", "0 id;", -1)).toMatchObject({ staleInMs: Infinity, expiresInMs: Infinity });
    expect(read("v", "300 id;", -1)).toMatchObject({ staleInMs: Infinity, expiresInMs: Infinity });
  });

  it("an entry without an end that becomes stale keeps both", () => {
    expect(read("v", "- id;m", UNBOUNDED_WINDOW_MS + 71)).toMatchObject({
      staleInMs: 70,
      expiresInMs: Infinity,
      meta: "m",
    });
    expect(read("v", "- id;m", UNBOUNDED_WINDOW_MS - 69)).toMatchObject({ staleInMs: -70, expiresInMs: Infinity });
  });

  it("without a value it is a miss", () => {
    expect(read(null, null, -2)).toBe(undefined);
    expect(read(null, "0 id;", 1_000)).toBe(undefined);
  });

  it.each([
    ["stale later", "1700000060000", 100_000, 60_000],
    ["stale already", "1699999999000", 100_000, -1_000],
    ["stale before 1970", "-5", 100_000, -NOW - 5],
    ["no staleness: fresh to its end", null, 100_000, 99_999],
    ["no staleness and no end", null, -1, Infinity],
    ["an empty staleness", "", 100_000, 99_999],
    ["a staleness that is not a number", "soon", 100_000, 99_999],
    ["a sign alone", "-", 100_000, 99_999],
    ["stale beyond its end", "1800000000000", 100_000, 99_999],
    ["stale later, without an end", "1700000060000", -1, 60_000],
  ])("R1-08: an entry of another program, %s", (_, s, ttlMs, staleInMs) => {
    const life = { staleInMs, expiresInMs: ttlMs === -1 ? Infinity : ttlMs - 1 };
    expect(read("v", s, ttlMs)).toEqual({ data: Buffer.from("v"), meta: "", ...life, version: "-" });
    expect(read("v", s, ttlMs, "plain")).toEqual({ data: Buffer.from("v"), meta: "", ...life });
  });

  it.each([
    ["one of ours", "d3csFcD_LEOr01-S", "d3csFcD_LEOr01-S"],
    ["one of 32 characters", "x".repeat(32), "x".repeat(32)],
    ["none", "", "-"],
    ["one that is too long", "x".repeat(33), "-"],
    ["of two words", "a b", "-"],
    ["the one that takes a lease from any holder", "*", "-"],
    ["one that says: another type", "!", "-"],
    ["one with a line break", "id\n", "-"],
    ["bytes that are no text", "\xff\xfe", "-"],
  ])("its version: %s", (_, head, version) => {
    expect(read("v", `300 ${head};m`, 1_000)).toMatchObject({ staleInMs: 699, meta: "m", version });
    expect(versionIn(bytes(`300 ${head};m`))).toBe(version);
    expect(read("v", `300 ${head};m`, 1_000, "plain")).toEqual({
      data: Buffer.from("v"),
      ...{ staleInMs: 699, expiresInMs: 999, meta: "m" },
    });
  });

  it("the start of most meta is one sign", () => {
    const times = { staleInMs: 60_000, expiresInMs: 360_000 };
    for (const [meta, s] of [
      ['["json",60000,300000]', "300000 id,60000,300000]"],
      ['["msgpack",60000]', "300000 id.60000]"],
      ['["json"]', '300000 id;["json"]'],
    ] as const) {
      expect(fieldsOf(encodeEntry(entry(times, meta), "full", NOW, "id")!)["s"]).toBe(s);
      expect(read("v", s, 360_001)).toMatchObject({ meta, version: "id", ...times });
    }
  });

  it.each(["5 ", "5 id", "- id", "5 id:m"])("C98: %j is cut short, or of another layout: a miss", (s) => {
    expect(read("v", s, 1_000)).toBe(undefined);
    expect(versionIn(bytes(s))).toBe("-");
  });

  it("keeps meta beyond ASCII, and meta that looks like a head", () => {
    const s = Buffer.from("7 id;5 w;é🦊\0;", "utf8").toString("latin1");
    expect(read("v", s, 1_000)?.meta).toBe("5 w;é🦊\0;");
  });
});

it("reads the text of meta anew where equal bytes have their head elsewhere", () => {
  const bytes = Buffer.from("..1 0;text..");
  expect(metaText(bytes, 6, 2, 10)).toBe("text");
  expect(metaText(bytes, 2, 2, 10)).toBe("1 0;text");
  expect(metaText(Buffer.from("1 0;text"), 4)).toBe("text");
});
