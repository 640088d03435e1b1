import { createHash } from "node:crypto";

// In UTF-8, all lone surrogates are one.
const hashed = (text: string): string => createHash("sha256").update(text, "utf16le").digest("base64url");

/** Arguments of a cached function are part of its key, and may be long. A tag may be empty. */
export const keyIn = (space: string, key: string): string =>
  space + (key !== "" && key.length <= 512 && key.isWellFormed() ? key : `#${hashed(key)}`);

export const tagName = (tag: string): string => keyIn("", tag);
