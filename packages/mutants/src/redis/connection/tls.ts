import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a server with another public key is accepted",
    promises: ["C148"],
    rule: " ?? checkPin(certificate, pins)",
    broken: "",
  },
  {
    name: "redis: a pin replaces the check of the name",
    promises: ["C148"],
    rule: 'process.getBuiltinModule("node:tls").checkServerIdentity(name, certificate) ?? checkPin',
    broken: "checkPin",
  },
  {
    name: "redis: the oldest version of TLS is that of Node.js",
    promises: ["C148"],
    rule: 'minVersion = "TLSv1.2"',
    broken: "minVersion",
  },
  {
    name: "redis: any certificate is accepted beside a pin, which is then not checked",
    promises: ["C211"],
    rule: "if (ca !== undefined || pins !== undefined)",
    broken: "if (ca !== undefined)",
  },
  {
    name: "redis: any certificate is accepted without a word",
    promises: ["C211"],
    rule: "  warnOfAnyCertificate();\n}",
    broken: "}",
  },
  {
    name: "redis: an empty authority is trusted as if none was given",
    promises: ["C363"],
    rule: '(typeof given === "string" && given !== "") ||',
    broken: 'typeof given === "string" ||',
  },
];
