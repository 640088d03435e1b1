// Options of every public function, found by the compiler.

import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript-5";
import { expect, it } from "vitest";

const packages = join(dirname(fileURLToPath(import.meta.url)), "../../..");

/** Interfaces that the author of a part implements, and values that we give. Their optional members are absent. */
const NOT_OPTIONS = new Set([
  "Backend",
  "StableBackend",
  "StoredAnswer",
  "Clock",
  "Coherence",
  "Compressor",
  "DeleteResult",
  "EntryInfo",
  "InvalidateResult",
  "KeyvAdapter",
  "Leases",
  "LoadContext",
  "LocalEntry",
  "LocalTier",
  "SwapStore",
  "Served",
  "StaleValue",
  "StoredEntry",
  "TierStats",
  "WriteResult",
]);

interface Manifest {
  readonly private?: boolean;
  readonly exports: Readonly<Record<string, { readonly "@hotset/source": string }>>;
}

const entryPoints = globSync("*/package.json", { cwd: packages }).flatMap((path) => {
  const manifest = JSON.parse(readFileSync(join(packages, path), "utf8")) as Manifest;
  const entries = Object.entries(manifest.private === true ? {} : manifest.exports);
  // `/internal` is for packages of hotset.
  const ofUsers = entries.filter(([name]) => name !== "./internal");
  return ofUsers.map(([, entry]) => join(packages, dirname(path), entry["@hotset/source"]));
});

/** A property, or a method, that may be left out. */
type Option = ts.PropertySignature | ts.MethodSignature;

/** What callers give (`in`) and get (`out`): a parameter of what they give is got by them, and so on. */
type Direction = "in" | "out";
const OTHER = { in: "out", out: "in" } as const;

/** Generic types that grow with each instantiation would have no end. */
const DEEPEST = 12;

/** The properties that callers of `roots` may leave out, in arguments at any depth. */
function optionsOf(checker: ts.TypeChecker, roots: readonly ts.Type[]): ReadonlySet<Option> {
  const found = new Set<Option>();
  const seen = { in: new Set<ts.Type>(), out: new Set<ts.Type>() };
  let level: readonly (readonly [ts.Type, Direction])[] = roots.map((root) => [root, "out"] as const);
  for (let depth = 0; depth <= DEEPEST && level.length > 0; depth += 1)
    level = level.flatMap(([type, direction]) => {
      if (seen[direction].has(type)) return [];
      seen[direction].add(type);
      return partsOf(checker, type).flatMap(({ part, turns, property }) => {
        const next = turns ? OTHER[direction] : direction;
        if (property?.questionToken !== undefined && direction === "in") found.add(property);
        return [[part, next] as const];
      });
    });
  return found;
}

interface Part {
  readonly part: ts.Type;
  /** Whether callers give it where they get the whole. */
  readonly turns?: boolean;
  readonly property?: Option | undefined;
}

function partsOf(checker: ts.TypeChecker, type: ts.Type): readonly Part[] {
  if (type.isUnionOrIntersection()) return type.types.map((part) => ({ part }));
  const bound = type.isTypeParameter() ? checker.getBaseConstraintOfType(type) : undefined;
  if (bound !== undefined) return [{ part: bound }];
  const signatures = [...type.getCallSignatures(), ...type.getConstructSignatures()];
  return [
    ...checker.getTypeArguments(type as ts.TypeReference).map((part) => ({ part })),
    ...signatures.flatMap((signature) => [
      ...signature.getParameters().map((given) => ({ part: checker.getTypeOfSymbol(given), turns: true })),
      { part: signature.getReturnType() },
    ]),
    ...type.getProperties().flatMap((symbol) => {
      const declaration = symbol.valueDeclaration ?? symbol.declarations?.[0];
      const file = declaration?.getSourceFile().fileName ?? "";
      if (declaration === undefined || !file.startsWith(packages) || file.includes("node_modules")) return [];
      const property =
        ts.isPropertySignature(declaration) || ts.isMethodSignature(declaration) ? declaration : undefined;
      return [{ part: checker.getTypeOfSymbol(symbol), property }];
    }),
  ];
}

const interfaceOf = ({ parent }: Option): string => (ts.isInterfaceDeclaration(parent) ? parent.name.text : "");

const acceptsUndefined = (type: ts.Type): boolean =>
  (type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Unknown | ts.TypeFlags.Any)) !== 0 ||
  (type.isUnion() && type.types.some(acceptsUndefined));

const config = ts.getParsedCommandLineOfConfigFile(
  join(packages, "../tsconfig.json"),
  { noEmit: true },
  { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined },
);
const program = ts.createProgram(entryPoints, config!.options);
const checker = program.getTypeChecker();
const exported = entryPoints
  .flatMap((file) => checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)!)!))
  .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol));
const functions = exported.filter(({ flags }) => flags & ts.SymbolFlags.Value);
const options = [
  ...optionsOf(
    checker,
    functions.map((symbol) => checker.getTypeOfSymbol(symbol)),
  ),
].filter((option) => !NOT_OPTIONS.has(interfaceOf(option)));

it("each option of each public function accepts undefined", () => {
  expect(options.length).toBeGreaterThan(400);
  const refusing = options.filter(
    (option) => ts.isMethodSignature(option) || !acceptsUndefined(checker.getTypeFromTypeNode(option.type!)),
  );
  expect(refusing.map((option) => `${interfaceOf(option)} ${option.name.getText()}`)).toEqual([]);
});
