/** Forms of a lock, with what stands before its name in its key, and in that of its fence. */
export const LOCK_FORMS = {
  lock: { key: "", fence: "fence:" },
  permits: { key: "permits:", fence: "permits-fence:" },
  writer: { key: "writer:", fence: "read-write-fence:" },
  readers: { key: "readers:", fence: "read-write-fence:" },
} as const;
