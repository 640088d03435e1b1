import { LUA_OF_KIND, NOW, type LuaOfRule } from "./rule-scripts.ts";
import { numbersOf, type Rule } from "./rules.ts";
import type { FreeAt } from "./units.ts";

/** `reward` gives back units of any calls, the latest first, and `giveBack` those of one call. */
export type Operation = "consume" | "peek" | "penalty" | "reward" | "giveBack";

export interface ScriptOptions {
  /** Refused calls count as well. */
  readonly countRefused: boolean;
  /** Life of the block that a refusal begins, 0 for none. */
  readonly blockForMs: number;
}

/**
 * One decision over all rules of a limiter, in one step. Each rule is looked at before anything is written, so an error
 * leaves nothing half done, and a call that one rule refuses takes nothing from another.
 *
 * KEYS: the block, then one for each rule. Replies with: allowed, ms of the block, the server's clock, then room, wait,
 * reset and over of each rule.
 *
 * The text depends on the kinds of the rules and not on their numbers, so Redis keeps few of them. It makes no function
 * where none is needed, since that takes as long as the decision.
 */
export class LimitScript {
  readonly #rules: readonly Rule[];
  readonly #kinds: readonly LuaOfRule[];
  readonly #options: ScriptOptions;
  readonly #hasSlots: boolean;
  readonly #constants: readonly string[];
  /** Most calls. */
  readonly #ofOneUnit: readonly string[];
  readonly #texts = new Map<Operation, string>();

  constructor(rules: readonly Rule[], options: ScriptOptions) {
    this.#rules = rules;
    this.#kinds = rules.map(({ kind }) => LUA_OF_KIND[kind]);
    this.#options = options;
    this.#hasSlots = this.#kinds.some(({ take }) => take !== undefined);
    const blocks = options.blockForMs > 0 ? [String(options.blockForMs)] : [];
    this.#constants = [...rules.flatMap((rule) => numbersOf(rule)!.map(String)), ...blocks];
    this.#ofOneUnit = Object.freeze(["1", ...this.#constants]);
  }

  text(operation: Operation): string {
    let text = this.#texts.get(operation);
    if (text === undefined) this.#texts.set(operation, (text = this.#write(operation)));
    return text;
  }

  /**
   * ARGV: units, the numbers of each rule, the ms of a block, for `giveBack` when the units of each rule are free
   * again, a lease; the last three where they are needed.
   */
  args(units: number, lease: string, free: readonly FreeAt[] = []): readonly string[] {
    if (units === 1 && free.length === 0 && !this.#hasSlots) return this.#ofOneUnit;
    const args = [String(units), ...this.#constants];
    for (const { at, over } of free) args.push(String(at), String(over));
    if (this.#hasSlots) args.push(lease);
    return args;
  }

  #write(operation: Operation): string {
    const numbers = this.#rules.map((_, i) => i + 1);
    const states = numbers.map((n) => `, room${n}, wait${n}, reset${n}, over${n}`).join("");
    const keys = numbers.map((n) => `, KEYS[${n + 1}]`).join("");
    return [
      NOW,
      "local units = tonumber(ARGV[1])",
      `local strings = redis.call('MGET', KEYS[1]${keys})`,
      "local blocked = strings[1] and redis.call('PTTL', KEYS[1]) or -2",
      ...new Set(this.#kinds.map(({ helper = "" }) => helper)),
      this.#variables(operation),
      this.#each(({ look }) => look),
      this.#decision(operation),
      `if not fits then ${this.#each(({ wait }) => `if room@ < wanted then ${wait} end`)} end`,
      `return {fits and 1 or 0, math.max(blocked, 0), now${states}}`,
    ].join("\n");
  }

  #variables(operation: Operation): string {
    let last = 1;
    const ofRules = this.#kinds.map(({ numbers }, i) => {
      const values = numbers.map(() => `tonumber(ARGV[${(last += 1)}])`);
      const names = numbers.map((name) => `${name}@`).join(", ");
      return numbered(
        `local key@, room@, wait@, reset@, over@, ${names} = KEYS[@ + 1], 0, 0, 0, 0, ${values.join(", ")}`,
        i,
      );
    });
    const block = this.#options.blockForMs > 0 ? `local block = ARGV[${(last += 1)}]` : "";
    const free = this.#kinds.map((_, i) => {
      const at = last + 2 * i + 1;
      return numbered(`local free@, free_over@ = tonumber(ARGV[${at}]), tonumber(ARGV[${at + 1}])`, i);
    });
    return [
      ...ofRules,
      block,
      ...(operation === "giveBack" ? free : []),
      this.#hasSlots ? "local lease = ARGV[#ARGV]" : "",
    ].join("\n");
  }

  #decision(operation: Operation): string {
    const fits = `local fits = blocked < 0${this.#each(() => " and room@ >= wanted", "")}`;
    const count = this.#each((kind) => kind.count);
    switch (operation) {
      case "peek":
        return ["local wanted = units", fits].join("\n");
      case "penalty":
        return [count, "local wanted = 1", fits].join("\n");
      case "reward":
        return [this.#each(({ give }) => give), "local wanted = 1", fits].join("\n");
      case "giveBack":
        return [this.#each(({ giveBack }) => giveBack), "local wanted = 1", fits].join("\n");
      case "consume": {
        const refused = [this.#options.countRefused ? count : "", this.#options.blockForMs > 0 ? BLOCK : ""].join("\n");
        const take = this.#each((kind) => kind.take ?? kind.count);
        return ["local wanted = units", fits, `if fits then ${take}`, `elseif blocked < 0 then ${refused} end`].join(
          "\n",
        );
      }
    }
  }

  /** One part of the script for every rule, each with the number of its rule. */
  #each(part: (kind: LuaOfRule) => string, separator = "\n"): string {
    return this.#kinds.map((kind, i) => numbered(part(kind), i)).join(separator);
  }
}

/** `@` stands for the number of the rule. */
const numbered = (lua: string, index: number): string => lua.replaceAll("@", String(index + 1));

const BLOCK = `
redis.call('SET', KEYS[1], '1', 'PX', block)
blocked = tonumber(block)`;
