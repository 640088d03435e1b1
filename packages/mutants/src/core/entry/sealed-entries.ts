import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "seal: the key is not bound",
    promises: ["C150"],
    rule: "space.backendPrefix, name];",
    broken: "space.backendPrefix, name.length];",
  },
  {
    name: "seal: the namespace is not bound",
    promises: ["C150"],
    rule: "space.backendPrefix, name];",
    broken: "name];",
  },
  {
    name: "seal: the scope of the backend is not bound",
    promises: ["C150"],
    rule: '[this.#backend.sealScope ?? "", ',
    broken: "[",
  },
  {
    name: "seal: the meta is not bound",
    promises: ["C150"],
    rule: "...place, meta]",
    broken: "...place, meta.length < 0]",
  },
  {
    name: "seal: the parts of the context run together",
    promises: ["C150"],
    rule: 'JSON.stringify(["hotset", LAYOUT, ...place, meta])',
    broken: '["hotset", LAYOUT, ...place, meta].join("")',
  },
  {
    name: "seal: an entry without one is read",
    promises: ["C151"],
    rule: "if (sealedBy !== seal?.id) throw",
    broken: "if (seal !== undefined && sealedBy === undefined) return stored;\n    if (sealedBy !== seal?.id) throw",
  },
  {
    name: "seal: a sealed entry is decoded without the seal",
    promises: ["C151"],
    rule: "if (sealedBy !== seal?.id) throw",
    broken: "if (seal === undefined) return stored;\n    if (sealedBy !== seal?.id) throw",
  },
  {
    name: "seal: the layout without meta takes a seal",
    promises: ["C151"],
    rule: "if (keepsMeta === false)",
    broken: "if (false)",
  },
  {
    name: "seal: the store lengthens a life",
    promises: ["C152"],
    rule: "Math.min(stored.expiresInMs, Math.floor(head.readDoubleBE(9) - now))",
    broken: "stored.expiresInMs",
  },
  {
    name: "seal: the store lengthens freshness",
    promises: ["C152"],
    rule: "Math.min(stored.staleInMs, Math.floor(head.readDoubleBE(1) - now), ",
    broken: "Math.min(stored.staleInMs, ",
  },
  {
    name: "seal: the store cannot shorten freshness",
    promises: ["C152"],
    rule: "Math.min(stored.staleInMs, Math.floor(head.readDoubleBE(1) - now), ",
    broken: "Math.min(Math.floor(head.readDoubleBE(1) - now), ",
  },
  {
    name: "seal: an entry that was marked stale becomes fresh again",
    promises: ["C152"],
    rule: "isRenamed ? 0 : Infinity",
    broken: "Infinity",
  },
  {
    name: "seal: the end of a sealed life is reported at once",
    promises: ["C152"],
    rule: "const CLOCK_TOLERANCE_MS = 10_000;",
    broken: "const CLOCK_TOLERANCE_MS = 0;",
  },
  {
    name: "seal: an entry long after its sealed life is not reported",
    promises: ["C152"],
    rule: "if (expiresInMs < -CLOCK_TOLERANCE_MS)",
    broken: "if (expiresInMs < -1e12)",
  },
];
