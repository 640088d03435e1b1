import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "sessions: the error about a field that is not JSON has its cause, which quotes the field",
    promises: ["C369"],
    rule: '{ code: "CORRUPT_VALUE", operation: "HGETALL" });',
    broken: '{ code: "CORRUPT_VALUE", operation: "HGETALL", cause: [...fields] });',
  },
  {
    name: "sessions: what JSON leaves out is removed without a word",
    promises: ["C369"],
    rule: "Buffer.from(json().encode(value)).toString()",
    broken: "JSON.stringify(value)",
  },
];
