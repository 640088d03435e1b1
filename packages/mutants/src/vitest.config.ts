import { resolve } from "node:path";
import { mergeConfig, type ViteUserConfig } from "vitest/config";
import workspace from "../../../vitest.config.ts";
import { withoutRule, type BrokenRule } from "./mutant.ts";

const top = resolve(import.meta.dirname, "../../..");
const given = process.env["HOTSET_BROKEN_RULE"];
const mutant = given === undefined ? undefined : (JSON.parse(given) as BrokenRule);
const broken = mutant && resolve(top, mutant.file);

/**
 * The tests of the workspace, over sources in which one rule is broken. Nothing is written: sources change as they are
 * read.
 */
const config: ViteUserConfig = mergeConfig(workspace, {
  root: top,
  plugins: [
    {
      name: "hotset-mutant",
      enforce: "pre",
      // Vitest keeps transformed modules on disk, and cannot know that this one comes out differently each time.
      configureVitest({ defineCacheKeyGenerator }) {
        defineCacheKeyGenerator(({ id }) => (id === broken ? false : undefined));
      },
      transform(code, id) {
        if (mutant === undefined || id !== broken) return undefined;
        return { code: withoutRule(code, mutant), map: null };
      },
    },
  ],
} satisfies ViteUserConfig);
if (process.env["HOTSET_NEEDS_SERVERS"] !== "1") config.test = { ...config.test, globalSetup: [] };

export default config;
