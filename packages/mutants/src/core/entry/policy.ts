import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "freshness: jitter prolongs",
    promises: ["C32"],
    rule: "(1 - resolved.jitter * random())",
    broken: "(1 + resolved.jitter * random())",
  },
  {
    name: "freshness: jitter touches the stale windows",
    promises: ["C32"],
    rule: "bounded(resolved.staleIfErrorMs ?? 0)",
    broken: "bounded((resolved.staleIfErrorMs ?? 0) * (1 - resolved.jitter * random()))",
  },
  {
    name: "freshness: negativeTtl is ignored",
    promises: ["C3", "C9"],
    rule: "value === null ?",
    broken: "false ?",
  },
  {
    name: "freshness: a nearer maxTtl replaces a lower one",
    promises: ["C477"],
    rule: 'Math.min(base.maxTtlMs, ms("maxTtl", options.maxTtl, 1) ?? Infinity)',
    broken: 'ms("maxTtl", options.maxTtl, 1) ?? base.maxTtlMs',
  },
  {
    name: "freshness: maxTtl bounds the default ttl alone",
    promises: ["C477"],
    rule: "Math.min(givenMs, resolved.maxTtlMs)",
    broken: "givenMs === policy.ttlMs ? Math.min(givenMs, resolved.maxTtlMs) : givenMs",
  },
  {
    name: "arguments: a text counts as true or false",
    promises: ["C10"],
    rule: 'if (given !== undefined && typeof given !== "boolean")',
    broken: "if (false)",
  },
  {
    name: "arguments: defaults that store nothing",
    promises: ["C213"],
    rule: 'if (ttl !== undefined && toMs("ttl", ttl) <= 0)',
    broken: 'if (ttl !== undefined && toMs("ttl", ttl) < 0)',
  },
  {
    name: "tags: options that are read late have the list of the caller",
    promises: ["C405"],
    rule: "{ ...options, tags: [...options.tags] }",
    broken: "{ ...options }",
  },
];
