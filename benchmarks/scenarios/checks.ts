import { deserialize } from "node:v8";
import { createCache, json, msgpack, redis, v8 } from "hotset";
import type { Format } from "hotset/backend";
import { inFlight } from "../measure.ts";
import { record } from "../payloads.ts";
import type { Conditions, Figure, Trial } from "../trial.ts";

const SIZES = [200, 2_000, 50_000] as const;
/**
 * Bytes that are decoded in one measurement. Few, and many measurements for each of the whole hit: at 50 KB the checks
 * are a small difference of two large times, and the least of long measurements has garbage collection in it.
 */
const VOLUME = 2_000_000;
const MEASUREMENTS = 10;
const HITS = 2_000;

/**
 * The cost of treating bytes as input: the processor time that a format takes for its checks (heap, depth, names), as
 * part of the time of a whole hit in Redis. The other side is the parser by itself, on the same bytes. The parser of
 * `msgpack` is its check.
 */
export const checksOfBytes = ({ url, rounds }: Conditions): Trial => ({
  name: "checks of bytes",
  async run() {
    const figures: Figure[] = [];
    for (const { format, parse } of parsers())
      for (const bytes of SIZES) figures.push(await share(format, parse, { url, bytes, rounds }));
    for (const bytes of SIZES) figures.push(await decoding(bytes, rounds));
    return figures;
  },
});

type Parse = (bytes: Uint8Array) => unknown;

function parsers(): readonly { readonly format: Format; readonly parse: Parse }[] {
  const text = new TextDecoder("utf-8", { fatal: true });
  return [
    { format: json(), parse: (bytes) => JSON.parse(text.decode(bytes)) as unknown },
    { format: v8(), parse: (bytes) => deserialize(bytes) as unknown },
  ];
}

async function share(
  format: Format,
  parse: Parse,
  { url, bytes, rounds }: { readonly url: string; readonly bytes: number; readonly rounds: number },
): Promise<Figure> {
  const value = record(bytes);
  const data = format.encode(value);
  const count = Math.ceil(VOLUME / data.length);
  const cache = createCache({ name: "checks" }).tier(redis(url).valueFormat(format).coherence("none").build()).build();
  await cache.set("k", value, { ttl: "1h" });
  // Other programs make a measurement longer, and never shorter.
  let [bare, checked, hit] = [Infinity, Infinity, Infinity];
  for (let round = 0; round < rounds; round += 1) {
    for (let i = 0; i < MEASUREMENTS; i += 1) {
      bare = Math.min(bare, (await microseconds(() => repeat(count, () => parse(data)))) / count);
      checked = Math.min(checked, (await microseconds(() => repeat(count, () => format.decode(data)))) / count);
    }
    hit = Math.min(hit, (await microseconds(() => inFlight(64, HITS, () => cache.get("k")))) / HITS);
  }
  await cache.close();
  const checks = Math.max(0, checked - bare);
  return {
    what: `checks of ${format.id}, ${bytes} B`,
    value: (100 * checks) / hit,
    unit: " % of a hit",
    atMost: 5,
    remark: `${checks.toFixed(2)} of ${hit.toFixed(1)} us`,
  };
}

/** The time in which `msgpack` reads a value, in times of `json`. */
async function decoding(bytes: number, rounds: number): Promise<Figure> {
  const value = record(bytes);
  const sides = [msgpack(), json()].map((format) => ({ format, data: format.encode(value), least: Infinity }));
  const count = Math.ceil(VOLUME / bytes);
  for (let i = 0; i < rounds * MEASUREMENTS; i += 1)
    for (const side of sides)
      side.least = Math.min(side.least, await microseconds(() => repeat(count, () => side.format.decode(side.data))));
  const [packed, text] = sides.map(({ least }) => least / count);
  return {
    what: `decoding of msgpack, ${bytes} B, in times of json`,
    value: packed! / text!,
    unit: " times",
    atMost: 1.1,
    remark: `${packed!.toFixed(2)} and ${text!.toFixed(2)} us`,
  };
}

function repeat(count: number, work: () => unknown): void {
  for (let i = 0; i < count; i += 1) work();
}

/** Processor time of this process. */
async function microseconds(work: () => unknown): Promise<number> {
  const startedAt = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(startedAt);
  return user + system;
}
