const warned = new Map<string, number>();

/** At most once a minute for each `what`. */
export function warn(what: string, error: unknown): void {
  const now = Date.now();
  if (Math.abs(now - (warned.get(what) ?? -Infinity)) < 60_000) return;
  warned.set(what, now);
  console.warn(`hotset: ${what}`, error);
}

/** Nothing is thrown into Next: a failure is a warning. */
export async function attempt<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    warn(what, error);
    return undefined;
  }
}
