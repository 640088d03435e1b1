import { ConfigurationError, type StandardSchema } from "@hotset/core";
import { keyedHash } from "@hotset/core/internal";

/**
 * The shape of the values that a schema gives, as a text of 16 digits: equal for schemas that say the same, in any
 * process. It sees what the library exports about a schema: names, types, options, literals, bounds. It does not see
 * functions: transforms, refinements, defaults that are computed.
 *
 * - zod: its definitions, of 4 and of 3
 * - valibot: its schemas, which are plain objects
 * - arktype: `json`
 * - any other: the JSON Schema of its output, by Standard JSON Schema
 *
 * The first three say more than their JSON Schema, in which a date is anything.
 *
 * @throws {ConfigurationError} for a schema that exports none of these.
 */
export function fingerprint(schema: StandardSchema<unknown> | undefined): string {
  const exported = schema && exportedBy(schema);
  if (exported === undefined)
    throw new ConfigurationError(
      schema === undefined
        ? 'shaped: shape "auto" needs a schema; give one, or a string that changes with the shape of the values'
        : `shaped: the schema of ${schema["~standard"].vendor} exports no structure; give shape a string that changes with the shape of the values`,
    );
  const text = JSON.stringify(new Structure().of(exported));
  return SECRETS.map((secret) => (keyedHash(secret, text) >>> 0).toString(16).padStart(8, "0")).join("");
}

interface ExportingSchema extends StandardSchema<unknown> {
  readonly "~standard": StandardSchema<unknown>["~standard"] & {
    /** @see https://standardschema.dev/json-schema */
    readonly jsonSchema?: { output(options: { readonly target: string }): unknown };
  };
  readonly json?: unknown;
}

function exportedBy(schema: ExportingSchema): unknown {
  const { vendor, jsonSchema } = schema["~standard"];
  if (vendor === "zod" || vendor === "valibot") return schema;
  if (vendor === "arktype") return schema.json;
  try {
    return jsonSchema?.output({ target: "draft-2020-12" });
  } catch {
    // Some part of it cannot be said in JSON Schema.
    return undefined;
  }
}

/** Public: all processes give a schema the same text. */
const SECRETS = [
  [2, 0],
  [3, 0],
] as const;

/** What says nothing about values: texts for people, and the machinery of libraries. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  ...["description", "title", "examples", "$comment", "$schema", "message", "error", "errorMap", "meta"],
  ...["~standard", "~run", "expects", "reference", "abort", "when", "path"],
]);
const MAX_PARTS = 100_000;

/** Turns what libraries export into plain data of one form: names in order, functions left out. */
class Structure {
  readonly #above: unknown[] = [];
  #parts = 0;

  of(given: unknown): unknown {
    if (typeof given === "bigint" || typeof given === "symbol") return String(given);
    if (typeof given !== "object" || given === null) return typeof given === "function" ? undefined : given;
    if (given instanceof RegExp || given instanceof Date) return String(given);
    const depth = this.#above.lastIndexOf(given);
    // A schema that contains itself.
    if (depth >= 0) return { above: this.#above.length - depth };
    this.#parts += 1;
    if (this.#parts > MAX_PARTS) throw new ConfigurationError("shaped: the schema is too large; give shape a string");
    this.#above.push(given);
    const plain = Array.isArray(given)
      ? given.map((each) => this.of(each) ?? null)
      : Object.fromEntries(
          entriesOf(given)
            .map(([name, each]) => [name, this.of(each)] as const)
            .filter(([, each]) => each !== undefined)
            .toSorted(([one], [other]) => (one < other ? -1 : 1)),
        );
    this.#above.pop();
    return plain;
  }
}

/** The definition of a schema of zod; else what the object has. */
function entriesOf(given: object): readonly (readonly [name: string, value: unknown])[] {
  const { _zod, _def } = given as { readonly _zod?: { readonly def?: object }; readonly _def?: ZodThree };
  const definition = _zod?.def ?? (_def?.typeName === undefined ? undefined : ofZodThree(_def)) ?? given;
  if (definition instanceof Map) return [["entries", [...definition]]];
  if (definition instanceof Set) return [["members", [...definition]]];
  return Object.entries(definition).filter(([name]) => !LEFT_OUT.has(name));
}

interface ZodThree {
  readonly typeName?: string;
  readonly shape?: unknown;
}

/** Its fields come from a function. */
const ofZodThree = (definition: ZodThree): object =>
  typeof definition.shape === "function" ? { ...definition, shape: (definition.shape as () => unknown)() } : definition;
