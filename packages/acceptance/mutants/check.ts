/**
 * Checks that mutants compile, as far as names go. A test that fails with a ReferenceError says nothing about the rule.
 *
 * Uses TypeScript 5.9, whose language service takes the text of a file from memory.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript-5";
import { withoutRule, type BrokenRule } from "./mutant.ts";

/** Codes for a name that does not exist, a variable that has no value yet, and a shorthand without its variable. */
const MISSING_NAMES: ReadonlySet<number> = new Set([2304, 2339, 2448, 2454, 2551, 2552, 18_004]);
/** All diagnostics with lower codes are of syntax. */
const FIRST_SEMANTIC_CODE = 2_000;

/** One line for each mutant whose rule does not occur once in its file, or that uses a missing name. */
export function findBrokenMutants(top: string, mutants: readonly BrokenRule[]): readonly string[] {
  const compiler = new Compiler(top);
  return mutants.flatMap((mutant) => {
    const path = join(top, mutant.file);
    try {
      const text = withoutRule(readFileSync(path, "utf8"), mutant);
      // Pages and configurations do not compile.
      const problems = path.endsWith(".ts") ? compiler.problemsOf(path, text) : [];
      return problems.length === 0 ? [] : [`${mutant.name}: ${problems.join("; ")}`];
    } catch (error) {
      return [error instanceof Error ? error.message : String(error)];
    }
  });
}

/** The workspace as tsconfig.json has it, with another text in one file at a time. */
class Compiler {
  readonly #service: ts.LanguageService;
  /** By path: how often its text has changed. */
  readonly #versions = new Map<string, number>();
  /** Texts of unchanged files, which every mutant needs again. */
  readonly #snapshots = new Map<string, ts.IScriptSnapshot | undefined>();
  #changed: { readonly path: string; readonly text: string } | undefined;

  constructor(top: string) {
    const { config } = ts.readConfigFile(join(top, "tsconfig.json"), (path) => ts.sys.readFile(path)) as {
      config: unknown;
    };
    const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, top);
    this.#service = ts.createLanguageService({
      ...ts.sys,
      useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames,
      getCurrentDirectory: () => top,
      getCompilationSettings: () => options,
      getDefaultLibFileName: (of) => ts.getDefaultLibFilePath(of),
      getScriptFileNames: () => fileNames,
      getScriptVersion: (path) => `${this.#versions.get(path) ?? 0}`,
      getScriptSnapshot: (path) =>
        path === this.#changed?.path ? ts.ScriptSnapshot.fromString(this.#changed.text) : this.#snapshot(path),
    });
  }

  problemsOf(path: string, text: string): readonly string[] {
    this.#change(this.#changed?.path);
    this.#change(path);
    this.#changed = { path, text };
    return [...this.#service.getSyntacticDiagnostics(path), ...this.#service.getSemanticDiagnostics(path)]
      .filter(({ code }) => code < FIRST_SEMANTIC_CODE || MISSING_NAMES.has(code))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, " "));
  }

  #snapshot(path: string): ts.IScriptSnapshot | undefined {
    if (!this.#snapshots.has(path)) {
      const text = ts.sys.readFile(path);
      this.#snapshots.set(path, text === undefined ? undefined : ts.ScriptSnapshot.fromString(text));
    }
    return this.#snapshots.get(path);
  }

  #change(path: string | undefined): void {
    if (path !== undefined) this.#versions.set(path, (this.#versions.get(path) ?? 0) + 1);
  }
}
