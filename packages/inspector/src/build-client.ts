import { readFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown, type Plugin } from "rolldown";

const folder = join(import.meta.dirname, "client");

/**
 * The sheets of the page, each beside the component whose rules it has, with those for phones at its end. Of two rules
 * of equal weight the later one counts, so what all share comes first.
 */
export const STYLES: readonly string[] = [
  "base",
  "app",
  "parts/basics",
  "parts/findings",
  "parts/chart",
  "parts/virtual-list",
  "pages/entry",
  "pages/fleet",
  "pages/overview",
  "pages/queues",
];

/** One script, with Preact inside, and one style sheet. */
export async function buildClient(): Promise<{ readonly script: string; readonly style: string }> {
  const bundle = await rolldown({
    input: join(folder, "main.tsx"),
    platform: "browser",
    logLevel: "warn",
    tsconfig: join(folder, "tsconfig.json"),
    transform: { target: "es2022" },
  });
  const { output } = await bundle.generate({ format: "esm", minify: true, comments: false });
  await bundle.close();
  return { script: output[0].code, style: STYLES.map(styleOf).join("\n") };
}

const styleOf = (name: string): string => readFileSync(join(folder, `${name}.css`), "utf8");

/** For the build of the package: the text of both, in place of the module that makes them. */
export const plugin: Plugin = {
  name: "client-as-text",
  async load(id) {
    if (id !== join(import.meta.dirname, "assets.ts")) return null;
    const { script, style } = await buildClient();
    return `export const assets = async () => (${JSON.stringify({ script, style })});`;
  },
};
