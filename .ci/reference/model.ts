// The public names of the published packages, with their declarations and comments, as TypeScript 5.9 reads them: the
// compiler that the tests run on offers no such interface.

import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript-5";

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** One public name, under each specifier that exports it. */
export interface PublicName {
  readonly name: string;
  readonly specifiers: readonly string[];
  readonly symbol: ts.Symbol;
  readonly declarations: readonly ts.Declaration[];
}

export interface Model {
  readonly checker: ts.TypeChecker;
  /** A name that two packages use for different things is there twice. */
  readonly names: readonly PublicName[];
}

/** Users of the command line call no function of it: its page is made from its tables of options. */
const WITHOUT_PAGES = ["cli"];

interface Manifest {
  readonly private?: boolean;
  readonly name: string;
  readonly exports: Readonly<Record<string, { readonly "@hotset/source": string }>>;
}

/** Reads the types of all entries. Takes some seconds. @param without folders of packages */
export function readModel(without: readonly string[] = WITHOUT_PAGES): Model {
  const others = globSync("packages/*", { cwd: top }).map((path) => path.slice("packages/".length));
  // The first specifier of a name is the one that users import.
  const folders = new Set(["hotset", "core", ...others.toSorted()]);
  const entries = [...folders].flatMap((folder) => {
    const manifest = join(top, "packages", folder, "package.json");
    if (!existsSync(manifest) || without.includes(folder)) return [];
    const { name, exports, private: isPrivate } = JSON.parse(readFileSync(manifest, "utf8")) as Manifest;
    if (isPrivate === true) return [];
    // Names for other packages of hotset are not documented, since they may change.
    const published = Object.entries(exports).filter(([entry]) => entry !== "./internal");
    return published.map(([entry, conditions]) => ({
      specifier: join(name, entry),
      source: join(top, "packages", folder, conditions["@hotset/source"]),
    }));
  });
  const sources = entries.map(({ source }) => source);
  const program = ts.createProgram(sources, {
    ...{
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      noEmit: true,
      strict: true,
      skipLibCheck: true,
    },
    ...{ moduleResolution: ts.ModuleResolutionKind.NodeNext, customConditions: ["@hotset/source"] },
    ...{ allowImportingTsExtensions: true, types: ["node"], typeRoots: globSync(join(top, "node_modules/@types")) },
  });
  const checker = program.getTypeChecker();
  const bySymbol = new Map<ts.Symbol, { name: string; specifiers: string[] }>();
  for (const { specifier, source } of entries) {
    const file = program.getSourceFile(source);
    if (file === undefined) throw new Error(`${specifier} has no source ${source}`);
    for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(file)!)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      const known = bySymbol.get(symbol);
      if (known === undefined) bySymbol.set(symbol, { name: exported.name, specifiers: [specifier] });
      else known.specifiers.push(specifier);
    }
  }
  const names = Array.from(bySymbol, ([symbol, named]) => ({
    ...named,
    symbol,
    declarations: symbol.declarations ?? [],
  }));
  return { checker, names };
}
