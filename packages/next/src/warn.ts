const warned = new Map<string, number>();

/** At most once a minute for each `what`. */
export function warn(what: string, error: unknown): void {
  const now = Date.now();
  if (Math.abs(now - (warned.get(what) ?? -Infinity)) < 60_000) return;
  warned.set(what, now);
  console.warn(`hotset: ${what}`, error);
}
