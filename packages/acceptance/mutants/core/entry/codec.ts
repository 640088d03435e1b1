import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "storing: an entry read from the backend has lost its validators",
    promises: ["C19"],
    rule: "etag: meta.etag,",
    broken: "etag: undefined,",
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
];
