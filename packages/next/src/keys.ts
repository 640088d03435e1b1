import { createHash } from "node:crypto";

// In UTF-8, all lone surrogates are one.
const hashed = (text: string): string => createHash("sha256").update(text, "utf16le").digest("base64url");

/** Arguments of a cached function are part of its key, and may be long. */
export const keyIn = (space: string, key: string): string =>
  space + (key.length <= 512 && key.isWellFormed() ? key : `#${hashed(key)}`);

/**
 * Next allows 128 tags of 256 characters in one call, and a page has those of all its calls: a name of 60 bits leaves
 * room for 155. Where two tags meet, one ends the entries of the other, too.
 */
export const shortTag = (tag: string): string =>
  tag.length <= 10 && tag.isWellFormed() ? tag : hashed(tag).slice(0, 10);
