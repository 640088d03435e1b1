import { resolve } from "node:path";
import { defineConfig, mergeConfig } from "vitest/config";
import workspace from "../../../vitest.config.ts";
import { MUTANTS } from "./mutants.ts";

const top = resolve(import.meta.dirname, "../../..");
const mutant = MUTANTS.find(({ name }) => name === process.env["HOTSET_MUTANT"]);

/** The tests of the workspace, over sources in which one rule is broken. Nothing is written: sources change as they are read. */
export default mergeConfig(workspace, defineConfig({
  root: top,
  plugins: [{
    name: "hotset-mutant",
    enforce: "pre",
    transform(code, id) {
      if (mutant === undefined || id !== resolve(top, mutant.file)) return undefined;
      if (code.split(mutant.rule).length !== 2) throw new Error(`${mutant.name}: its rule stands ${code.split(mutant.rule).length - 1} times in ${mutant.file}, not once`);
      return { code: code.replace(mutant.rule, () => mutant.broken), map: null };
    },
  }],
}));
