import type { SchemaChecks, SchemaIssue, StandardSchema } from "../contracts/standard-schema.ts";
import { pathText, withoutValues } from "./place.ts";

/** What a namespace checks by the schema that it was given. */
export interface SchemaOfNamespace {
  readonly schema: StandardSchema<unknown> | undefined;
  /** Whether the schema checks loaded values too. */
  readonly checksLoads: boolean;
}

export function schemaOf(given: StandardSchema<unknown> | SchemaChecks<unknown> | undefined): SchemaOfNamespace {
  if (given === undefined || "~standard" in given) return { schema: given, checksLoads: false };
  return { schema: given.of, checksLoads: given.checks === "all" };
}

/** The output of a schema, or why there is none: the end of a sentence about the schema, without values. */
export type Checked =
  | { readonly value: unknown; readonly refusal?: undefined }
  | { readonly refusal: string; readonly value?: undefined };

/**
 * Checks a value by a user's schema. Never rejects.
 *
 * @param what is refused, as the sentence names it.
 */
export async function checkBySchema(schema: StandardSchema<unknown>, value: unknown, what = "it"): Promise<Checked> {
  try {
    const { issues, value: output } = (await schema["~standard"].validate(value)) as {
      readonly issues?: readonly SchemaIssue[];
      readonly value?: unknown;
    };
    return issues === undefined ? { value: output } : { refusal: `refuses ${what}: ${describeIssues(issues, value)}` };
  } catch {
    // Without the error: it may quote the value.
    return { refusal: "throws" };
  }
}

/** Path and message of the first issue. Schemas like to quote the value: what comes from it is taken out. */
function describeIssues(issues: readonly SchemaIssue[], value: unknown): string {
  const [first] = issues;
  const path = (first?.path ?? []).map((step) => (typeof step === "object" ? step.key : step));
  const message = withoutValues(String(first?.message).slice(0, 200), value);
  const place = path.length === 0 ? "" : `${pathText(path)}: `;
  return `${place}${message}${issues.length > 1 ? ` (the first of ${issues.length} issues)` : ""}`;
}
