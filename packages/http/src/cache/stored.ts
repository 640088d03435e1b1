import { endToEnd, isValidField, joinedOf, type FieldLines } from "../semantics/fields.ts";
import type { Freshness } from "../semantics/freshness.ts";

/** Entries of another format are a miss. */
const FORMAT = 1;

/** A response as an entry of the namespace. */
export interface StoredResponse {
  readonly kind: "response";
  readonly format: typeof FORMAT;
  readonly status: number;
  readonly statusText: string;
  readonly fields: FieldLines;
  readonly freshness: Freshness;
  /** The target of its key; of another one it answers nothing. */
  readonly target: string;
  /** Values of the selecting fields, for a variant. */
  readonly selects: string;
  readonly bodyBytes: number;
  readonly body: InlineBody | BodyEntry;
  /** The process that received its head, and when by that process's clock. */
  readonly receivedBy: string;
  readonly receivedAt: number;
}

export interface InlineBody {
  readonly bytes: Uint8Array;
}

/** A body as a separate entry. */
export interface BodyEntry {
  readonly key: string;
  /** Identifies these bytes: a later response under the same key has others. */
  readonly id: string;
  /** Until when it is kept at least, in milliseconds since 1970. Estimated, so its absence is a miss. */
  readonly keptUntil: number;
}

/** The value of such an entry. */
export interface StoredBody {
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** The key of the body whose head has this one. */
export const bodyKey = (key: string): string => `body:${key}`;

export const isBody = (value: unknown, id: string): value is StoredBody =>
  typeof value === "object" &&
  value !== null &&
  (value as StoredBody).id === id &&
  (value as StoredBody).bytes instanceof Uint8Array;

/** The entry of a URL whose response varies: which fields select, and where its variants are. */
export interface StoredIndex {
  readonly kind: "index";
  readonly format: typeof FORMAT;
  /** Part of the keys of the variants: they end with it. */
  readonly generation: string;
  /** Another one whenever its variants are marked stale; absent where those have a tag that marks them. */
  readonly mark: string | undefined;
  readonly selecting: readonly string[];
  /** Keys, oldest first. */
  readonly variants: readonly string[];
  /** Selecting values of a variant, by its language and the other selecting values. */
  readonly languages: Readonly<Record<string, string>>;
}

export type Stored = StoredResponse | StoredIndex;

export const responseEntry = (parts: Omit<StoredResponse, "kind" | "format">): StoredResponse => ({
  kind: "response",
  format: FORMAT,
  ...parts,
});

export const indexEntry = (selecting: readonly string[], family: string | undefined): StoredIndex => ({
  kind: "index",
  format: FORMAT,
  generation: crypto.randomUUID(),
  mark: family ? undefined : "none",
  selecting,
  variants: [],
  languages: {},
});

/**
 * The value of an entry, if this version wrote it, and if it may be sent: entries in a shared store can be forged, and
 * a line break in a field would split the response.
 */
export function readStored(value: unknown): Stored | undefined {
  if (typeof value !== "object" || value === null || (value as Stored).format !== FORMAT) return undefined;
  if (KNOWN.has(value)) return value as Stored;
  const isValid = (value as Stored).kind === "index" ? isIndex(value) : isResponse(value);
  if (!isValid) return undefined;
  KNOWN.add(value);
  return value as Stored;
}

export function readIndex(value: unknown): StoredIndex | undefined {
  const stored = readStored(value);
  return stored?.kind === "index" ? stored : undefined;
}

/** Checked already: the same object is answered from the memory of this process many times. */
const KNOWN = new WeakSet<object>();

function isIndex(value: object): boolean {
  const { generation, selecting, variants, languages } = value as Partial<StoredIndex>;
  return (
    typeof generation === "string" &&
    /^[\w-]{1,64}$/.test(generation) &&
    areTexts(selecting) &&
    areTexts(variants) &&
    typeof languages === "object" &&
    languages !== null &&
    areTexts(Object.values(languages))
  );
}

function isResponse(value: object): boolean {
  const { kind, status, statusText, fields, freshness, target, selects } = value as Partial<StoredResponse>;
  return (
    kind === "response" &&
    Number.isInteger(status) &&
    status! >= 200 &&
    status! <= 599 &&
    status !== 206 &&
    status !== 304 &&
    typeof target === "string" &&
    typeof selects === "string" &&
    typeof statusText === "string" &&
    isValidField(["status", statusText]) &&
    Array.isArray(fields) &&
    fields.every((line) => isPair(line) && isValidField(line)) &&
    endToEnd(fields).length === fields.length &&
    typeof freshness?.lifetimeMs === "number" &&
    typeof freshness.initialAgeMs === "number" &&
    hasBody(value, joinedOf(fields, "content-length"))
  );
}

/** A length that is not that of the bytes would make a part of them the next response of the connection. */
function hasBody({ body, bodyBytes }: Partial<StoredResponse>, length: string | undefined): boolean {
  if (!Number.isSafeInteger(bodyBytes) || (length !== undefined && length !== String(bodyBytes))) return false;
  if (typeof body !== "object" || body === null) return false;
  if ("key" in body) return typeof body.key === "string" && typeof body.id === "string";
  return body.bytes instanceof Uint8Array && body.bytes.byteLength === bodyBytes;
}

const areTexts = (value: unknown): boolean => Array.isArray(value) && value.every((each) => typeof each === "string");

const isPair = (line: unknown): line is readonly [string, string] =>
  Array.isArray(line) && typeof line[0] === "string" && typeof line[1] === "string";
