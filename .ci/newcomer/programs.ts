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
  await cache.close();
  console.log("loads " + loads);
}

main();
`;
}

export interface Bundle {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  /** Parameters of Node that make the bundle. */
  readonly build: readonly string[];
  readonly output: string;
}

/** @param tools the folder in whose node_modules the bundlers are. */
export function bundles(tools: string): readonly Bundle[] {
  const esbuild = (options: object): string =>
    `import("${tools}/node_modules/esbuild/lib/main.js").then(({ build }) => build(${JSON.stringify({
      entryPoints: ["main.mjs"],
      bundle: true,
      platform: "node",
      logLevel: "warning",
      ...options,
    })})).catch(() => process.exit(1));`;
  const banner = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
  const webpack = `require("${tools}/node_modules/webpack")({
    mode: "production", target: "node", entry: "./main.mjs", output: { path: __dirname, filename: "webpack.cjs", asyncChunks: false },
  }, (error, stats) => { if (error || stats.hasErrors()) { console.error(error ?? stats.toString()); process.exit(1); } });`;
  const rolldown = `import("${tools}/node_modules/rolldown/dist/index.mjs").then(({ build }) =>
    build({ input: "main.mjs", platform: "node", output: { file: "rolldown.mjs", format: "esm", codeSplitting: false } }));`;
  const make = (name: string, script: string, output: string): Bundle => ({
    name,
    files: { "main.mjs": newcomerProgram("esm"), "build.cjs": script },
    build: ["build.cjs"],
    output,
  });
  return [
    make("esbuild, CommonJS", esbuild({ format: "cjs", outfile: "esbuild.cjs" }), "esbuild.cjs"),
    make("esbuild, ESM", esbuild({ format: "esm", outfile: "esbuild.mjs", banner: { js: banner } }), "esbuild.mjs"),
    make("esbuild, minified", esbuild({ format: "cjs", outfile: "small.cjs", minify: true }), "small.cjs"),
    make("rolldown", rolldown, "rolldown.mjs"),
    make("webpack", webpack, "webpack.cjs"),
  ];
}
