/** As many invalidations of {@link longKeys} wait for a backend: 16 MiB. */
export const MOST_PENDING = 8_192;

/**
 * Keys whose pending invalidations take 2 KiB each: two bytes for each character, and 128.
 *
 * @param prefix of their keys in the backend.
 */
export const longKeys = (count: number, prefix: string): readonly string[] =>
  Array.from({ length: count }, (_, i) => String(i).padStart((2_048 - 128) / 2 - prefix.length, "k"));
