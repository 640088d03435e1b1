/**
 * Checks that mutants compile, as far as names go. A test that fails with a ReferenceError says nothing about the rule.
 *
 * Uses TypeScript 5.9, whose language service takes the text of a file from memory.
 */
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript-5";
import { withoutRule, type BrokenRule } from "./mutant.ts";

/** Codes for a name that does not exist, a variable that has no value yet, and a shorthand without its variable. */
const MISSING_NAMES: ReadonlySet<number> = new Set([2304, 2339, 2448, 2454, 2551, 2552, 18_004]);
/** All diagnostics with lower codes are of syntax. */
const FIRST_SEMANTIC_CODE = 2_000;

/**
 * One line for each mutant whose rule does not occur once in its file, or that uses a missing name.
 *
 * Mutants of different files are checked in one program, as making a program costs more than checking a file. One that
 * has problems there is checked alone: they may come from the mutant of another file.
 */
export function findBrokenMutants(top: string, mutants: readonly BrokenRule[]): readonly string[] {
  const compiler = new Compiler(top, new Set(mutants.map(({ file }) => join(top, file))));
  const broken = new Map<BrokenRule, string>();
  for (const round of roundsOf(mutants)) {
    const texts = new Map<string, string>();
    for (const [file, mutant] of round) {
      const path = join(top, file);
      try {
        texts.set(path, withoutRule(readFileSync(path, "utf8"), mutant));
      } catch (error) {
        broken.set(mutant, error instanceof Error ? error.message : String(error));
      }
    }
    compiler.change(texts);
    const suspects = [...texts].filter(([path]) => compiler.problemsOf(path).length > 0);
    for (const [path, text] of suspects) {
      compiler.change(new Map([[path, text]]));
      const problems = compiler.problemsOf(path);
      const mutant = round.get(relative(top, path))!;
      if (problems.length > 0) broken.set(mutant, `${mutant.name}: ${problems.join("; ")}`);
    }
  }
  return mutants.flatMap((mutant) => broken.get(mutant) ?? []);
}

/** The first mutant of each file, then the second of each, and so on. */
function roundsOf(mutants: readonly BrokenRule[]): readonly ReadonlyMap<string, BrokenRule>[] {
  const rounds: Map<string, BrokenRule>[] = [];
  const times = new Map<string, number>();
  for (const mutant of mutants) {
    const time = times.get(mutant.file) ?? 0;
    times.set(mutant.file, time + 1);
    (rounds[time] ??= new Map()).set(mutant.file, mutant);
  }
  return rounds;
}

/** Files of the workspace and what they import, as tsconfig.json has it, with other texts in some of them. */
class Compiler {
  readonly #service: ts.LanguageService;
  /** By path: how often its text has changed. */
  readonly #versions = new Map<string, number>();
  /** Texts of unchanged files, which every mutant needs again. */
  readonly #snapshots = new Map<string, ts.IScriptSnapshot | undefined>();
  #texts: ReadonlyMap<string, string> = new Map();

  constructor(top: string, files: ReadonlySet<string>) {
    const { config } = ts.readConfigFile(join(top, "tsconfig.json"), (path) => ts.sys.readFile(path)) as {
      config: unknown;
    };
    const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, top);
    const roots = fileNames.filter((path) => files.has(path) || path.endsWith(".d.ts"));
    this.#service = ts.createLanguageService({
      ...ts.sys,
      useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames,
      getCurrentDirectory: () => top,
      getCompilationSettings: () => options,
      getDefaultLibFileName: (of) => ts.getDefaultLibFilePath(of),
      getScriptFileNames: () => roots,
      getScriptVersion: (path) => `${this.#versions.get(path) ?? 0}`,
      getScriptSnapshot: (path) => {
        const text = this.#texts.get(path);
        return text === undefined ? this.#snapshot(path) : ts.ScriptSnapshot.fromString(text);
      },
    });
  }

  /** From now on these files have these texts, and all others their own. */
  change(texts: ReadonlyMap<string, string>): void {
    for (const path of new Set([...this.#texts.keys(), ...texts.keys()])) {
      this.#versions.set(path, (this.#versions.get(path) ?? 0) + 1);
    }
    this.#texts = texts;
  }

  problemsOf(path: string): readonly string[] {
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
}
