/** Measuring real time on a machine that may be busy. */

const TICK_MS = 20;

/**
 * Whether `call` is still pending when this process has run for `withinMs`. A pause of the process counts as two ticks
 * at most, so it makes no call late whose own deadline moves with it.
 */
export async function isLate(call: Promise<unknown>, withinMs: number): Promise<boolean> {
  let ranMs = 0;
  let last = performance.now();
  const ticking = setInterval(() => {
    const now = performance.now();
    ranMs += Math.min(now - last, 2 * TICK_MS);
    last = now;
  }, TICK_MS);
  await call.then(
    () => undefined,
    () => undefined,
  );
  clearInterval(ticking);
  return ranMs >= withinMs;
}
