import { parseSeconds } from "./directives.ts";
import { endToEnd, firstOf, joinedOf, type FieldLines } from "./fields.ts";
import { isStrong } from "./validators.ts";

/** Fields that describe the stored bytes, which an update does not bring (RFC 9111, section 3.2). */
const OF_THE_BYTES: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "etag",
]);

/**
 * Whether an answer with this status takes the place of a stale one. An error does not, for it may be that of one
 * client; 404 and 410 say that there is nothing any more.
 */
export const replaces = (status: number): boolean => status < 400 || status === 404 || status === 410;

/** The stored fields, replaced by those of a 304 or of an answer to HEAD. */
export function freshen(stored: FieldLines, update: FieldLines): FieldLines {
  const news = endToEnd(update).filter(([name]) => !OF_THE_BYTES.has(name));
  // Without a Date the update was made when it came, and not when the stored response was.
  const names = new Set(["date", ...news.map(([name]) => name)]);
  return [...stored.filter(([name]) => !names.has(name)), ...news];
}

/** Whether a 304 is about the stored response: one with another strong ETag is not (RFC 9111, section 4.3.4). */
export function isAboutStored(stored: FieldLines, notModified: FieldLines): boolean {
  const etag = firstOf(notModified, "etag");
  return etag === undefined || !isStrong(etag) || etag === firstOf(stored, "etag");
}

/** Whether an answer to HEAD is about the stored response: equal validators and length (RFC 9111, section 4.3.5). */
export function headConfirms(
  stored: { readonly status: number; readonly fields: FieldLines; readonly bodyBytes: number },
  head: { readonly status: number; readonly fields: FieldLines },
): boolean {
  if (head.status !== stored.status) return false;
  const isEqual = (name: string): boolean => {
    const given = firstOf(head.fields, name);
    return given === undefined || given === firstOf(stored.fields, name);
  };
  const length = joinedOf(head.fields, "content-length");
  return (
    isEqual("etag") &&
    isEqual("last-modified") &&
    (length === undefined || parseSeconds(length.trim()) === stored.bodyBytes)
  );
}
