/** Measuring real time on a machine that may be busy. */

/**
 * Whether `call` is still pending when a timer of `withinMs` fires. Timers of a process fire in the order in which they
 * are due, so a process that stands still for a while makes no call late that ends by a deadline of its own.
 */
export async function isLate(call: Promise<unknown>, withinMs: number): Promise<boolean> {
  let late = false;
  const timer = setTimeout(() => (late = true), withinMs);
  await call.then(
    () => undefined,
    () => undefined,
  );
  clearTimeout(timer);
  return late;
}

/**
 * The least time that up to four attempts report, in milliseconds; the first one within `boundMs` is the last. Nothing
 * that one of them leaves behind may make the next one quicker.
 */
export async function quickest(boundMs: number, attempt: () => Promise<number>): Promise<number> {
  let leastMs = Infinity;
  for (let i = 0; i < 4 && leastMs >= boundMs; i += 1) leastMs = Math.min(leastMs, await attempt());
  return leastMs;
}
