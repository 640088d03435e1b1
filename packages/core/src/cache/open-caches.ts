interface Count {
  open: number;
  isWarned: boolean;
}

/** The caches of this process that are open over a backend, by name. */
const counts = new Map<string, Count>();

/**
 * Counts a cache over a backend. Many of one name are a mistake that nothing else shows: a cache that is built for each
 * request, or by a module that a development server loads again, has a connection and copies of its own.
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
      `${count.open} caches of this name are open in this process, each with connections and copies of its own: ` +
        "build one and use it everywhere; where hot reload loads modules again, keep it on globalThis",
    );
  }
  return () => {
    count.open -= 1;
  };
}

const MANY = 20;
