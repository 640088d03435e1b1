import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "storing: undefined is stored",
    promises: ["C2"],
    rule: '(value === undefined ? "no-store" : "value")',
    broken: '"value"',
  },
  {
    name: "storing: a value that went through noStore is stored",
    promises: ["C15"],
    rule: "marked?.get(value) ??",
    broken: "",
  },
  {
    name: "storing: what can be read once is shared",
    promises: ["C463"],
    rule: 'kind === "not-shared" ? undefined : singleUse(value)',
    broken: "undefined",
  },
  {
    name: "storing: what can be read once is refused to its own caller too",
    promises: ["C463"],
    rule: 'kind === "not-shared" ? undefined : singleUse(value)',
    broken: "singleUse(value)",
  },
  {
    name: "storing: a loader in the background sees background: false",
    promises: ["C20"],
    rule: "background: request.background,",
    broken: "background: false,",
  },
  {
    name: "storing: options that a loader sets twice add up",
    promises: ["C13"],
    rule: "(self.#options = ownOptions(given))",
    broken: "(self.#options = { ...self.#options, ...ownOptions(given) })",
  },
  {
    name: "errors: a falsy reason is replaced",
    promises: ["C4"],
    rule: "(error: unknown) => {\n          this.#cancelTimeout();\n          reject(error);\n        }",
    broken: "(error: unknown) => { this.#cancelTimeout(); reject(error || new Error()); }",
  },
  {
    name: "limits: loadTimeout is ignored",
    promises: ["C38"],
    rule: "request.timeoutMs,\n      );",
    broken: "Infinity,\n      );",
  },
  {
    name: "schema: a loaded value is checked, and handed out as it was",
    promises: ["C192"],
    rule: "isChecked ? await checkedBy(schema, value) : value",
    broken: "(isChecked && (await checkedBy(schema, value)), value)",
  },
  {
    name: "inherit: the tags of what a loader got are left out",
    promises: ["C454", "C455"],
    rule: "if (used !== undefined && used.tags.length !== 0)",
    broken: "if (used !== undefined && used.tags.length < 0)",
  },
];
