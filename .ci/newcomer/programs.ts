/** Loads one value through memory and Redis, and says whether it had to: `loads 1`, then `loads 0`. */
export function newcomerProgram(kind: "esm" | "cjs"): string {
  const names = "{ createCache, memory, redis }";
  return `${kind === "esm" ? `import ${names} from "hotset"` : `const ${names} = require("hotset")`};

async function main() {
  const cache = createCache({ name: "newcomer" })
    .tier(memory())
    .tier(redis(process.env.REDIS_URL).keyPrefix(process.env.KEY_PREFIX.replace(/\\W/g, "")).build())
    .build();
  let loads = 0;
  const load = () => {
    loads += 1;
    return { at: new Date(0), total: 12n, lines: new Map([["kettle", 2]]) };
  };
  for (let call = 0; call < 2; call += 1) {
    const order = await cache.getOrSet("order", load);
    if (order.at.getTime() !== 0 || order.total !== 12n || order.lines.get("kettle") !== 2) throw new Error("changed");
  }
  await cache.set("ended", 1, { tags: ["orders"] });
  await cache.invalidateTags("orders");
  if ((await cache.get("ended")) !== undefined) throw new Error("not ended");
  await cache.close();
  console.log("loads " + loads);
}

main();
`;
}

export interface Bundle {
  readonly name: string;
  readonly bundler: string;
  /** A module that bundles `main.mjs` into the folder `out`. */
  readonly build: string;
  /** The file of `out` that runs. */
  readonly output: string;
}

type Make = (name: string, script: string, output?: string) => Bundle;

const makeOf =
  (tools: string): Make =>
  (name, script, output = "main.mjs") => ({
    name,
    bundler: /require\("([^"]+)"\)/.exec(script)![1]!,
    build: `import { createRequire } from "node:module";\nconst require = createRequire("${tools}/");\n${script}`,
    output,
  });

const esbuild = (make: Make, name: string, output: string, options: object): Bundle => {
  const all = { entryPoints: ["main.mjs"], bundle: true, logLevel: "warning", outfile: `out/${output}`, ...options };
  return make(name, `await require("esbuild").build(${JSON.stringify(all)});`, output);
};

/** The worker of the documents. @param tools the folder in whose node_modules the bundlers are. */
export const workerBundle = (tools: string): Bundle =>
  esbuild(makeOf(tools), "workerd", "main.mjs", { format: "esm", minify: true });

export const rolldown = (tools: string, input: string): Bundle =>
  makeOf(tools)(
    "rolldown",
    `await require("rolldown").build({ input: "${input}", platform: "node", logLevel: "silent",
      output: { file: "out/main.mjs", format: "esm", codeSplitting: false } });`,
  );

export function bundles(tools: string): readonly Bundle[] {
  const make = makeOf(tools);
  const node = { platform: "node", format: "cjs" };
  const banner = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
  const webpack = (use: string): string => `const output = { path: import.meta.dirname + "/out", filename: "main.cjs" };
  const config = { mode: "production", target: "node", entry: "./main.mjs", output: { ...output, asyncChunks: false } };
  await new Promise((resolve, reject) => ${use}(config, (error, stats) =>
    error || stats.hasErrors() ? reject(error ?? new Error(stats.toString())) : resolve()));`;
  return [
    esbuild(make, "esbuild, CommonJS", "main.cjs", node),
    esbuild(make, "esbuild, ESM", "main.mjs", { ...node, format: "esm", banner: { js: banner } }),
    esbuild(make, "esbuild, minified", "main.cjs", { ...node, minify: true }),
    make("webpack", webpack('require("webpack")'), "main.cjs"),
    make("rspack", webpack('require("@rspack/core").rspack'), "main.cjs"),
    rolldown(tools, "main.mjs"),
    make(
      "Rollup",
      `const { rollup } = require("rollup");
      const plugins = ["node-resolve", "commonjs", "json"].map((name) => require("@rollup/plugin-" + name).default());
      const bundle = await rollup({ input: "main.mjs", plugins, external: /^node:/, onLog: () => undefined });
      await bundle.write({ dir: "out", entryFileNames: "[name].mjs", chunkFileNames: "[name].mjs" });`,
    ),
    make("Vite", `await require("vite").build(${JSON.stringify(VITE)});`),
  ];
}

const VITE = { logLevel: "warn", ssr: { noExternal: true }, build: { ssr: "main.mjs", outDir: "out" } };
