import type { Backend } from "@hotset/core";

/** The settings of `far`, of whose bytes `near` keeps copies. */
export function settingsOf(
  near: Backend,
  far: Backend,
): Omit<Backend, "label" | "read" | "write" | "remove" | "close"> {
  const { format, compressor, alsoReads, maxEntryBytes, maxDecodedBytes, sealedBy, sealScope, keepsMeta } = far;
  const { readsLag, parts } = far;
  return {
    format,
    compressor,
    ...(alsoReads !== undefined && { alsoReads }),
    ...(maxEntryBytes !== undefined && { maxEntryBytes }),
    ...(maxDecodedBytes !== undefined && { maxDecodedBytes }),
    ...(sealedBy !== undefined && { sealedBy }),
    ...(sealScope !== undefined && { sealScope }),
    ...(keepsMeta !== undefined && { keepsMeta }),
    ...(readsLag !== undefined && { readsLag }),
    keepsKeys: near.keepsKeys === true || far.keepsKeys === true,
    ...(parts !== undefined && { parts }),
  };
}
