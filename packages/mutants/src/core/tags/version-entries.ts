import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "tags: the issuer is not renewed with a tag",
    promises: ["C60", "C77"],
    rule: "await issue(issuerKey(tags[0]!), newId());",
    broken: "",
  },
  {
    name: "tags: the issuer is renewed after the tag",
    promises: ["C77"],
    rule: "await issue(issuerKey(tags[0]!), newId());\n      await Promise.all(",
    broken: "setImmediate(() => void issue(issuerKey(tags[0]!), newId()));\n      await Promise.all(",
  },
  {
    name: "tags: a late tag is read after the issuer",
    promises: ["C77"],
    rule: "const versions = await Promise.all(tags.map(pinTag));\n      const issuer = await readOne(issuerKey(tags[0]!));",
    broken:
      "const issuer = await readOne(issuerKey(tags[0]!));\n      const versions = await Promise.all(tags.map(pinTag));",
  },
  {
    name: "tags: loads that begin together each issue a version",
    promises: ["C8"],
    rule: "if (shared !== undefined && clock",
    broken: "if (false && shared !== undefined && clock",
  },
  {
    name: "tags: a soft clear reaches no entry where a backend issues no versions",
    promises: ["C478"],
    rule: "if (isNamespace(key)) return [issue(key, version)];",
    broken: 'if (isNamespace(key)) return mode === "hard" ? [issue(key, version)] : [];',
  },
];
