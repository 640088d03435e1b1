/**
 * Decodes bombs in a process of its own, with 256 MB of heap, as an entry that another program stored. Run by
 * processes/bombs.nightly.test.ts. Prints one line of JSON for each bomb.
 *
 *     decode-bombs.ts json gzip     the bombs of json, compressed
 *     decode-bombs.ts json any      values of any kind, each repeated until it is large
 */
import { writeSync } from "node:fs";
import { createCache, defineBackend, json, passthrough, type Compressor, type Format } from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
import { cloned, jsonOf, packed } from "@hotset/test-servers";
import fc from "fast-check";

export interface Decoded {
  readonly bomb: string;
  readonly storedBytes: number;
  /** `value`, or the message of the `DecodeError`. */
  readonly outcome: string;
  readonly heapBytes: number;
  /** Processor time of all threads. */
  readonly cpuMs: number;
}

const MB = 2 ** 20;
/** Within `maxDecodedBytes`, with head and end. */
const MAX = 8 * MB - 64;
const fill = (head: readonly number[], node: string | Buffer, bytes: number): Buffer =>
  Buffer.concat([Uint8Array.from(head), Buffer.alloc(bytes - head.length, node)]);
const numbered = (node: (name: string) => string, count: number): string =>
  Array.from({ length: count }, (_, i) => node(i.toString(36).padStart(4, "x"))).join("");
const hex = (text: string): Buffer => Buffer.from(text, "hex");
const BOMBS: Readonly<Record<string, Readonly<Record<string, () => Buffer>>>> = {
  msgpack: {
    "67 million empty maps": () => fill([0xdd, 0x04, 0, 0, 0], hex("80"), 64 * MB + 5),
    "8 million empty maps": () => packed(hex("80"), MAX),
    "1 million empty maps": () => packed(hex("80"), MB),
    "8 million empty arrays": () => packed(hex("90"), MAX),
    "8 million of nil": () => packed(hex("c0"), MAX),
    "4 million empty buffers": () => packed(hex("c400"), MAX),
    "buffers within 1 MiB": () => packed(hex("c400"), MB),
    "typed arrays": () => packed(hex("c7027401ff"), MAX),
    sets: () => packed(hex("d4730090"), MAX),
    "maps of marks": () => packed(hex("92c100"), MAX),
    dates: () => packed(hex("d6ff00000001"), MAX),
    "objects with an index": () => packed(hex("81a339303001"), MAX),
    "objects with an index, within 200 KiB": () => packed(hex("81a339303001"), 200 * 1024),
    "objects with an overlong index": () => packed(hex("81a5c0b9c0b03001"), 200 * 1024),
    "objects with rising indexes": () => packed(hex("84a339303001a43139303001a43239303001a43339303001"), MB),
    "objects of different names": () => {
      const count = 800_000;
      const nodes = Buffer.from(numbered((name) => `\u0001${name}`, count).replaceAll("\u0001", "\u0001"), "latin1");
      const bytes = Buffer.alloc(5 + count * 7);
      bytes.writeUInt8(0xdd);
      bytes.writeUInt32BE(count, 1);
      for (let i = 0; i < count; i++) {
        bytes.set([0x81, 0xa4], 5 + i * 7);
        nodes.copy(bytes, 7 + i * 7, i * 5 + 1, i * 5 + 5);
        bytes[11 + i * 7] = 1;
      }
      return bytes;
    },
    "a million levels": () => Buffer.alloc(MB, 0x91),
  },
  json: {
    "22 million empty objects": () => jsonOf("{}", 64 * MB),
    "empty objects": () => jsonOf("{}", MAX),
    "empty arrays": () => jsonOf("[]", MAX),
    numbers: () => jsonOf("1", MAX),
    fractions: () => jsonOf("1.7976931348623157e308", MAX),
    "objects with an index": () => jsonOf('{"30":0}', MAX),
    "objects with an index, within 800 KiB": () => jsonOf('{"30":0}', 800 * 1024),
    "objects of different names": () => Buffer.from(`[${numbered((name) => `{"${name}":1},`, 700_000)}0]`),
    "objects of different names, with spaces": () =>
      Buffer.from(`[${numbered((name) => `{"${name}" :1},`, 600_000)}0]`),
    "one object of many names": () => Buffer.from(`{${numbered((name) => `"${name}":1,`, 800_000)}"":0}`),
    texts: () => jsonOf('"ab"', MAX),
    escapes: () => jsonOf('"\\u00e9"', MAX),
    "one text": () => Buffer.from(`"${"日".repeat(2.6 * MB)}"`),
    "200,000 levels": () => Buffer.from("[".repeat(200_000) + "]".repeat(200_000)),
    "4 million levels": () => Buffer.from("[".repeat(4 * MB - 1) + "]".repeat(4 * MB - 1)),
  },
  v8: {
    "an array of 33 million holes": () => hex("ff0f61c095de0f4000c095de0f"),
    "holes paid by padding": () => Buffer.concat([hex("ff0f"), Buffer.alloc(4 * MB), hex("61c095de0f4000c095de0f")]),
    "arrays of holes": () => cloned("6180897a400080897a", MAX),
    "empty objects": () => cloned("6f7b00", MAX),
    "empty arrays": () => cloned("4100240000", MAX),
    "empty buffers": () => cloned("4200", MAX),
    "typed arrays": () => cloned("5c080100", MAX),
    maps: () => cloned("3b3a00", MAX),
    "objects with an index": () => cloned("6f4988 0e4902 7b01".replaceAll(" ", ""), 200 * 1024),
    "objects with an index as text": () => cloned("6f220339303049027b01", 200 * 1024),
    "objects with an index as UTF-16": () => cloned("6f6306390030003000 49027b01".replace(" ", ""), 200 * 1024),
    "objects with an index as a double": () => cloned("6f4e00000000002 08c4049027b01".replace(" ", ""), 200 * 1024),
    "booleans in boxes": () => cloned("79", MAX),
    "a million levels": () => Buffer.concat([hex("ff0f"), Buffer.alloc(2 * MB, hex("4101"))]),
  },
};

const FORMATS: Readonly<Record<string, Format>> = { json: json(), msgpack: msgpack(), v8: v8() };
const COMPRESSORS: Readonly<Record<string, Compressor>> = {
  none: passthrough(),
  gzip: gzip(),
  brotli: brotli(),
  zstd: zstd(),
};

const [formatId, compressorId] = process.argv.slice(2) as [string, string];
const format = FORMATS[formatId]!;
const compressor = COMPRESSORS[compressorId] ?? passthrough();
if (compressorId === "any") await decodeAny();
else {
  const bombs = Object.entries(BOMBS[formatId]!);
  for (const [bomb, make] of compressorId === "none" ? bombs : bombs.slice(0, 3))
    await report(bomb, await compressor.compress(make()));
}

async function decodeAny(): Promise<void> {
  const value = fc.anything({
    maxDepth: 2,
    maxKeys: 3,
    ...(formatId !== "json" && {
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
    }),
    key: fc.oneof(fc.string({ maxLength: 3 }), fc.nat(3_000).map(String)),
  });
  const bytes = fc.constantFrom(50_000, 250_000, 1_000_000, 4_000_000);
  for (const [given, length] of fc.sample(fc.tuple(value, bytes), { seed: 1, numRuns: 60 })) {
    let node: Uint8Array;
    try {
      node = format.encode(given);
    } catch {
      continue;
    }
    const repeat = {
      json: () => jsonOf(Buffer.from(node).toString(), length),
      msgpack: () => packed(Buffer.from(node), length),
      v8: () => cloned(Buffer.from(node).toString("hex").slice(4), length),
    }[formatId]!;
    await report(Buffer.from(node).toString("latin1").slice(0, 60), repeat());
  }
}

async function report(bomb: string, data: Uint8Array): Promise<void> {
  const decoded: Decoded = { bomb, storedBytes: data.length, ...(await decode(data)) };
  // At once: the next one may end the process.
  writeSync(1, `${JSON.stringify(decoded)}\n`);
}

async function decode(data: Uint8Array): Promise<Pick<Decoded, "outcome" | "heapBytes" | "cpuMs">> {
  const meta = JSON.stringify([formatId, null, 0, 0, 0, compressor.id === "none" ? {} : { c: compressor.id }]);
  const backend = defineBackend({
    label: "hostile",
    format,
    compressor,
    read: async (key) => (key !== "shop::k" ? undefined : { data, meta, staleInMs: 60_000, expiresInMs: 60_000 }),
    write: async () => {},
    remove: async () => "missing",
    close: async () => {},
  });
  const cache = createCache({ name: "shop" }).tier(backend).defaults({ ttl: "1m" }).build();
  let outcome = "value";
  cache.on("decode:error", ({ error }) => (outcome = (error.cause as Error | undefined)?.message ?? error.message));
  cache.on("backend:error", ({ error }) => (outcome = `backend:error ${error.message}`));
  globalThis.gc!();
  const before = process.memoryUsage().heapUsed;
  const startedAt = process.cpuUsage();
  await cache.get("k");
  const { user, system } = process.cpuUsage(startedAt);
  const heapBytes = process.memoryUsage().heapUsed - before;
  await cache.close();
  return { outcome, heapBytes, cpuMs: (user + system) / 1_000 };
}
