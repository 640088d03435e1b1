/** Bombs for each format and compressor, each decoded in a process that dies of one that goes off. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { isNightly } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import type { Decoded } from "../support/decode-bombs.ts";

const MB = 2 ** 20;
const FORMATS = ["json", "msgpack", "v8"] as const;
/** Each format, and each compressor once; at night each of both. */
const PAIRS = FORMATS.flatMap((id) =>
  ["none", "gzip", "brotli", "zstd"].map((compressor) => [id, compressor] as const),
).filter(([id, compressor]) => isNightly || compressor === "none" || id === "msgpack");

async function decodeBombs(format: string, compressor: string): Promise<readonly Decoded[]> {
  const script = new URL("../support/decode-bombs.ts", import.meta.url).pathname;
  const flags = ["--conditions=@hotset/source", "--expose-gc", "--max-old-space-size=256"];
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, script, format, compressor], {
    maxBuffer: 64 * MB,
  });
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Decoded);
}

/** Five times what one takes on an idle machine. */
const MAX_CPU_MS = 1_000;
function expectBounded(decoded: readonly Decoded[]): void {
  const unbounded = decoded.filter(({ heapBytes, cpuMs }) => heapBytes > 64 * MB || cpuMs > MAX_CPU_MS);
  expect(unbounded).toEqual([]);
}

/** Bombs that may be decoded: they take less than is allowed. */
const HARMLESS = ["numbers", "fractions", "one text", "objects with an index, within 800 KiB"];

describe("decoding takes at most eight times maxDecodedBytes of heap", () => {
  it.each(PAIRS)("bombs of %s under %s are refused", async (format, compressor) => {
    const decoded = await decodeBombs(format, compressor);
    expectBounded(decoded);
    const believed = decoded.filter(({ outcome }) => outcome === "value").map(({ bomb }) => bomb);
    expect(believed).toEqual(decoded.map(({ bomb }) => bomb).filter((bomb) => HARMLESS.includes(bomb)));
    expect(decoded.length).toBe(compressor === "none" ? { json: 15, msgpack: 17, v8: 14 }[format] : 3);
  });

  it.each(isNightly ? FORMATS : (["msgpack"] as const))("any bytes that %s repeats", async (format) => {
    const decoded = await decodeBombs(format, "any");
    expect(decoded.length).toBeGreaterThan(50);
    expectBounded(decoded);
    expect(new Set(decoded.map(({ outcome }) => outcome.replace(/^.*: /, "")))).toEqual(
      new Set(["value", "it would take more than 4 times maxDecodedBytes (8388608 bytes) of memory"]),
    );
  });
});
