import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "seal: aesGcm seals without the context",
    promises: ["C150"],
    rule: "cipher.setAAD(Buffer.concat([header, context]));",
    broken: "cipher.setAAD(Buffer.concat([header, context.subarray(0, 0)]));",
  },
  {
    name: "seal: aesGcm hands out what its tag does not cover",
    promises: ["C150"],
    rule: "decipher.final();",
    broken: "void decipher;",
  },
  {
    name: "seal: aesGcm encrypts all entries with the same key",
    promises: ["C150"],
    rule: "blocks.set(nonce.subarray(0, 12), at + 4);",
    broken: "blocks.set(nonce.subarray(0, 0), at + 4);",
  },
];
