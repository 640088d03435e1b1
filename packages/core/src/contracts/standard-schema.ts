import type { Awaitable } from "./awaitable.ts";

/** A schema of any library that follows Standard Schema, version 1. */
export interface StandardSchema<Output> {
  /** The part of the Standard Schema specification that is used here. */
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (
      value: unknown,
    ) => Awaitable<
      { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }
    >;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** A schema, and which values of a namespace it checks. */
export interface SchemaChecks<Output> {
  readonly of: StandardSchema<Output>;
  /**
   * `"reads"`: those that come from a backend. `"all"`: those that a loader gives as well, before they are used, so it
   * has to accept its own output. @default 'reads'
   */
  readonly checks?: "reads" | "all" | undefined;
}

/** Why a schema refuses a value, and where. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}
