/** The caches of this process that are open over a backend, by name. */
const counts = new Map<string, { open: number; isWarned: boolean }>();

/**
 * Counts a cache over a backend. Many of one name are a mistake that nothing else shows: a cache that is built for each
 * request, or by a module that a development server loads again, has its own connection and copies.
 *
 * @param warn is called with the text, once for each name.
 * @returns ends the count of this one.
 */
export function countOpen(name: string, warn: (text: string) => void): () => void {
  let count = counts.get(name);
  if (count === undefined) counts.set(name, (count = { open: 0, isWarned: false }));
  count.open += 1;
  if (count.open >= MANY && !count.isWarned) {
    count.isWarned = true;
    warn(
      `${count.open} caches of this name are open in this process, each with its own connections and copies: ` +
        "build one and use it everywhere; where hot reload loads modules again, keep it on globalThis",
    );
  }
  return () => {
    count.open -= 1;
    // A name that was warned about is kept: one warning is enough.
    if (count.open === 0 && !count.isWarned) counts.delete(name);
  };
}

const MANY = 20;
