import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "storing: an entry read from the backend has lost its validators",
    promises: ["C19"],
    rule: "termsIn(keySpace, limits, meta)",
    broken: "termsIn(keySpace, limits, { ...meta, etag: undefined })",
  },
  {
    name: "backend: bytes of an unknown format are read with the configured one",
    promises: ["C113"],
    rule: "this.#formats.get(meta.encoding.format)",
    broken: "(this.#formats.get(meta.encoding.format) ?? this.#backend.format)",
  },
  {
    name: "backend: bytes of an unknown compressor are taken as they are",
    promises: ["C113"],
    rule: "if (compressor === undefined)\n      throw",
    broken: "if (compressor === undefined) return data;\n    if (compressor === undefined) throw",
  },
  {
    name: "backend: uncompressed bytes have no limit",
    promises: ["C141"],
    rule: "data.length > this.#maxDecodedBytes) throw",
    broken: "data.length > Infinity) throw",
  },
  {
    name: "backend: entries larger than maxEntryBytes are read",
    promises: ["C141"],
    rule: "data.length > this.#maxEntryBytes) throw",
    broken: "data.length > Infinity * this.#maxEntryBytes) throw",
  },
  {
    name: "backend: compressed bytes may become any multiple of their size",
    promises: ["C141"],
    rule: "Math.max(FREE_BYTES, MAX_RATIO * data.length)",
    broken: "Infinity * Math.max(FREE_BYTES, MAX_RATIO * data.length)",
  },
  {
    name: "backend: a value that becomes too small is stored compressed",
    promises: ["C142"],
    rule: " && bytes.length <= this.#room(data))",
    broken: ")",
  },
  {
    name: "backend: values larger than maxDecodedBytes are written",
    promises: ["C142"],
    rule: "if (bytes.length > this.#maxDecodedBytes)\n        throw",
    broken: "if (bytes.length > Infinity)\n        throw",
  },
  {
    name: "codec: an entry is fresh for as long as a clock that was set back says",
    promises: ["C187"],
    rule: "staleInMs + cutMs > ttlMs + CLOCK_TOLERANCE_MS ? 0 : staleInMs",
    broken: "staleInMs",
  },
  {
    name: "codec: an error of a compressor that answers by a thenable of its own quotes the value",
    promises: ["C145"],
    rule: "return isThenable(filled)",
    broken: "return filled instanceof Promise",
  },
  {
    name: "codec: the end that touch gave to an endless life is not read back",
    promises: ["C406"],
    rule: "stored.staleInMs > ENDLESS_MS",
    broken: "stored.staleInMs > 0",
  },
];
