import type { BrokenRule } from "../mutant.ts";

export const MUTANTS: readonly BrokenRule[] = [
  {
    name: "R1-01 the factor of the back-off is 2",
    file: "packages/redis/src/primitives/backoff.ts",
    rule: "backoff.baseMs * backoff.factor ** failures",
    broken: "backoff.baseMs * 2 ** failures",
  },
  {
    name: "R1-02 replicas are not read",
    file: "packages/redis/src/topology/cluster-router.ts",
    rule: "return this.#settings.readFromReplicas ? this.#read(shard, args) : this.#forward(this.#begin(shard.primary), args);",
    broken: "return this.#forward(this.#begin(shard.primary), args);",
  },
  {
    name: "R1-03 a cluster takes any option",
    file: "packages/redis/src/shared-connection.ts",
    rule: 'checkOptions("cluster(nodes, options)", options, ["tls", "readFromReplicas", "resolveAddress"]);',
    broken: "",
  },
  {
    name: "R1-04 a call has no bound by default",
    file: "packages/redis/src/builder.ts",
    rule: "  responseTimeoutMs: 1_000,\n",
    broken: "  responseTimeoutMs: Infinity,\n",
  },
  {
    name: "R1-05 each call makes an attempt to connect",
    file: "packages/redis/src/connection/single-link.ts",
    rule: "return (this.#attempt ??= inNoCall(() =>",
    broken: "return (this.#attempt = inNoCall(() =>",
  },
  {
    name: "R1-06 other formats are not read",
    file: "packages/redis/src/builder.ts",
    rule: "return this.#with({ alsoReads: Object.freeze([...this.#settings.alsoReads, ...others]) });",
    broken: "return this.#with({ alsoReads: Object.freeze([...this.#settings.alsoReads]) });",
  },
  {
    name: "R1-07 compact keys are readable ones",
    file: "packages/redis/src/store/redis-keys.ts",
    rule: "(this.isHashed ? `#${crypto()",
    broken: "(Number(key) === 0.5 ? `#${crypto()",
  },
  {
    name: "R1-10 each removal finds an entry",
    file: "packages/redis/src/store/hash-backend.ts",
    rule: '(count === 1 ? "deleted" : "missing")',
    broken: '(count === -1 ? "missing" : "deleted")',
  },
  {
    name: "R1-11 a backend has the usual label",
    file: "packages/redis/src/builder.ts",
    rule: 'return this.#with({ label: text("label", label) });',
    broken: 'return this.#with({ label: text("label", label) && "redis" });',
  },
  {
    name: "R1-12 an error has no cause",
    file: "packages/redis/src/primitives/faults.ts",
    rule: "      { ...origin, cause: reason },\n    );\n  }\n  const liesElsewhere",
    broken: "      { ...origin },\n    );\n  }\n  const liesElsewhere",
  },
  {
    name: "R1-13 a backend opens a second connection",
    file: "packages/redis/src/shared-connection.ts",
    rule: "      const made = this.#make({ ...settings,",
    broken:
      "      void this.#make({ ...settings, clientName: settings.clientName ?? settings.defaultName " +
      "}).link.connect();\n      const made = this.#make({ ...settings,",
  },
  {
    name: "R1-20 the order of names counts",
    file: "packages/core/src/entry/key-of.ts",
    rule: "Object.keys(value).sort()",
    broken: "Object.keys(value)",
  },
];
