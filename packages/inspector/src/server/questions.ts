import { AskError } from "../ask-error.ts";

const LONGEST_BODY = 64 * 1_024;

/** The JSON object of a request. @throws {AskError} for another body, and one beyond 64 KiB. */
export async function questionOf(request: Request): Promise<Question> {
  if (!/^application\/json\b/.test(request.headers.get("content-type") ?? ""))
    throw new AskError(415, "the body must be JSON, with the content type application/json");
  const text = await bodyOf(request);
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    throw new AskError(400, "the body must be JSON");
  }
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new AskError(400, "the body must be a JSON object");
  return new Question(given as Readonly<Record<string, unknown>>);
}

async function bodyOf(request: Request): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const part of request.body ?? []) {
    size += part.byteLength;
    if (size > LONGEST_BODY) throw new AskError(413, "the body must have at most 64 KiB");
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}

/** Fields of a request, checked when they are read. */
export class Question {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(fields: Readonly<Record<string, unknown>>) {
    this.#fields = fields;
  }

  text(name: string, fallback?: string): string {
    const given = this.#field(name) ?? fallback;
    if (typeof given === "string" && given.length <= LONGEST_BODY) return given;
    throw new AskError(400, `${name} must be text`);
  }

  texts(name: string): readonly string[] {
    const given = this.#field(name) ?? [];
    if (Array.isArray(given) && given.length <= 100 && given.every((each) => typeof each === "string")) return given;
    throw new AskError(400, `${name} must be a list of at most 100 texts`);
  }

  oneOf<T extends string>(name: string, accepted: readonly T[], fallback?: T): T {
    const given = this.#field(name) ?? fallback;
    const found = accepted.find((each) => each === given);
    if (found !== undefined) return found;
    throw new AskError(400, `${name} must be one of ${accepted.join(", ")}`);
  }

  count(name: string, bounds: { readonly fallback: number; readonly max: number; readonly min?: number }): number {
    const given = this.#field(name) ?? bounds.fallback;
    const { max, min = 0 } = bounds;
    if (typeof given === "number" && Number.isInteger(given) && given >= min && given <= max) return given;
    throw new AskError(400, `${name} must be a whole number from ${min} to ${max}`);
  }

  #field(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }
}
