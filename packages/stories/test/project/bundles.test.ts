import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { expect, it } from "vitest";

const packages = join(dirname(fileURLToPath(import.meta.url)), "../../..");

it("a bundle of createCache and memory() holds no format and no compressor; one with redis() holds both", async () => {
  expect(await foldersIn('export { createCache, memory } from "hotset"')).toEqual(["core", "memory"]);
  expect(await foldersIn('export { createCache, memory, redis } from "hotset"')).toEqual([
    "core",
    "formats",
    "formats/msgpack",
    "formats/zstd",
    "memory",
    "redis",
  ]);
});

/** Whose code a bundler puts into `program`, which imports `hotset` as it is published: as one file. */
async function foldersIn(program: string): Promise<readonly string[]> {
  const published = await rolldown({
    input: join(packages, "hotset/src/index.ts"),
    platform: "node",
    external: (id) => !/^[./]/.test(id),
  });
  const [file] = (await published.generate({ format: "esm" })).output;
  const sources: Readonly<Record<string, string>> = { program, hotset: file.code };
  const bundle = await rolldown({
    input: "program",
    platform: "node",
    external: [/^@redis\//, /^zstd-napi$/],
    resolve: { conditionNames: ["@hotset/source", "node", "import"] },
    checks: { invalidAnnotation: false },
    plugins: [
      {
        name: "sources",
        // Beside the sources of hotset, so that its dependencies are found.
        resolveId: (id) => (id in sources ? join(packages, `hotset/src/~${id}.js`) : null),
        load: (id) => sources[/~(\w+)\.js$/.exec(id)?.[1] ?? ""] ?? null,
      },
    ],
  });
  const [chunk] = (await bundle.generate({ format: "esm" })).output;
  const rendered = Object.entries(chunk.modules).filter(([, { renderedLength }]) => renderedLength > 0);
  const folders = rendered.flatMap(([id]) => {
    const [, folder, entry] = /\/packages\/([^/]+)\/src\/(?:(msgpack|zstd)\/)?[^~]*$/.exec(id) ?? [];
    return folder === undefined ? [] : [entry === undefined ? folder : `${folder}/${entry}`];
  });
  return [...new Set(folders)].toSorted();
}
