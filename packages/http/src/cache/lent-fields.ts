import { joinedOf, type Head } from "../semantics/fields.ts";
import { replaces } from "../semantics/updating.ts";
import type { LoadRequest } from "./load-request.ts";

/**
 * The fields that a first load of a URL has although no response of it has named them: by which the latest response of
 * its place varied, that is of URLs up to the last part of the path. Most of them vary alike: one load in place of two.
 */
export class LentFields {
  readonly #byPlace = new Map<string, readonly string[]>();

  of(url: string): readonly string[] {
    return [...(this.#byPlace.get(placeOf(url)) ?? []), CODINGS];
  }

  remember(url: string, selecting: readonly string[]): void {
    const place = placeOf(url);
    this.#byPlace.delete(place);
    if (selecting.length > 0) this.#byPlace.set(place, selecting);
    if (this.#byPlace.size > MOST_PLACES) this.#byPlace.delete(this.#byPlace.keys().next().value!);
  }
}

function placeOf(url: string): string {
  const query = url.indexOf("?");
  return url.slice(0, url.lastIndexOf("/", query < 0 ? undefined : query) + 1);
}

/**
 * Whether the handler saw a field that its response does not name. A page that is not coded, and no error, is that of
 * all codings: some compressors name the field only where they have compressed.
 */
export const lentInVain = (
  { lent }: Pick<LoadRequest, "lent">,
  { status, fields }: Head,
  selecting: readonly string[],
): boolean => {
  const isPlain = replaces(status) && joinedOf(fields, "content-encoding") === undefined;
  return [...lent].some((name) => !selecting.includes(name) && !(name === CODINGS && isPlain));
};

const CODINGS = "accept-encoding";
const MOST_PLACES = 1_000;
