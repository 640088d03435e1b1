import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "tags: invalidating does not reach the namespaces below",
    promises: ["C68"],
    rule: "keySpace.tagPrefixes.map((prefix) => prefix + tag)",
    broken: "[keySpace.tagPrefixes.at(-1)! + tag]",
  },
  {
    name: "clear: does not reach the namespaces below",
    promises: ["C78"],
    rule: "tagPrefixes: [...parent.tagPrefixes, below",
    broken: "tagPrefixes: [below",
  },
  {
    name: "tags: the issuer of versions counts as the namespace",
    promises: ["C67"],
    rule: ' || (key.startsWith("{~~") && key.indexOf("::") === key.length - 2)',
    broken: "",
  },
  {
    name: "keys: delimiters in the names of namespaces are not encoded",
    promises: ["C109"],
    rule: "return name.replace(SPECIAL, (char) =>",
    broken: "return name; name.replace(SPECIAL, (char) =>",
  },
  {
    name: "keys: a key of the root may be that of a namespace",
    promises: ["C109"],
    rule: "return key.charCodeAt(0) > 1 ? key : BELOW_ROOT + key;",
    broken: "return key;",
  },
  {
    name: "keys: namespaces share their local copies",
    promises: ["C48", "C109"],
    rule: 'if (keySpace.localPrefix !== "") return keySpace.localPrefix + key;',
    broken: "",
  },
  {
    name: "keys: another version of the cache reads the same entries",
    promises: ["C112"],
    rule: "(version === undefined ?",
    broken: "(true ?",
  },
  {
    name: "keys: a cache without a name has namespaces, which are caches of that name",
    promises: ["C146"],
    rule: "/^[:@]/.test(backendPrefix)",
    broken: 'false && backendPrefix === ""',
  },
];
