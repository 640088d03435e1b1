/** Whether both lists have the same items in the same order. A loop: each read asks, and a closure costs 96 bytes. */
export function haveEqualItems(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false;
  for (let i = 0; i < some.length; i += 1) if (some[i] !== others[i]) return false;
  return true;
}
