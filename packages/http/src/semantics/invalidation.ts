import { firstOf, type FieldLines } from "./fields.ts";

/** Methods that change nothing (RFC 9110, section 9.2.1, and those of WebDAV and QUERY). Unknown ones are unsafe. */
const SAFE: ReadonlySet<string> = new Set([
  ...["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"],
]);

export const isSafe = (method: string): boolean => SAFE.has(method);

/** URLs whose stored responses an answer to an unsafe method invalidates (RFC 9111, section 4.4). */
export function invalidatedUrls(
  method: string,
  url: string,
  { status, fields }: { readonly status: number; readonly fields: FieldLines },
): readonly string[] {
  if (isSafe(method) || !isNoError(status)) return [];
  const urls = new Set([url]);
  const base = new URL(url);
  for (const name of ["location", "content-location"]) {
    const reference = firstOf(fields, name);
    if (reference === undefined || !URL.canParse(reference, url)) continue;
    const target = new URL(reference, url);
    target.hash = "";
    // Another origin's responses are not this one's to remove.
    if (target.origin === base.origin) urls.add(target.href);
  }
  return [...urls];
}

export const isNoError = (status: number): boolean => status >= 200 && status < 400;
