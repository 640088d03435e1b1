// What `pnpm pack` and `pnpm publish` write into the package.json of a package: its `exports` without the sources, in
// both formats of `rolldown.config.ts`. Node knows `module-sync` and takes one file for `import` and `require`, so that
// a program has one instance; bundlers know `module`, Bun `bun`. Jest and older TypeScript take `require`. TypeScript
// without `exports` (`moduleResolution: node`) reads `types` and `typesVersions`.

const SOURCE = "@hotset/source";

function published({ exports = {}, ...manifest }) {
  if (!Object.values(exports).some((conditions) => SOURCE in conditions)) return { ...manifest, exports };
  const files = Object.entries(exports).map(([entry, conditions]) => [
    entry,
    conditions.default.slice(0, -".js".length),
  ]);
  const further = files.flatMap(([entry, file]) =>
    entry === "." ? [] : [[entry.slice("./".length), [`${file}.d.cts`]]],
  );
  const [[, main]] = files;
  return {
    ...manifest,
    main: `${main}.cjs`,
    types: `${main}.d.cts`,
    ...(further.length > 0 && { typesVersions: { "*": Object.fromEntries(further) } }),
    exports: Object.fromEntries(files.map(([entry, file]) => [entry, conditionsOf(file)])),
  };
}

/** `module` is of bundlers. All three take one file for `import` and `require`. */
const ONE_COPY = ["module-sync", "module", "bun"];

const conditionsOf = (file) => {
  const esm = { types: `${file}.d.ts`, default: `${file}.js` };
  return {
    ...Object.fromEntries(ONE_COPY.map((condition) => [condition, esm])),
    require: { types: `${file}.d.cts`, default: `${file}.cjs` },
    ...esm,
  };
};

export const hooks = { beforePacking: published };
