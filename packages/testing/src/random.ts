/** Random numbers that are the same for the same seed, so that a failure can be repeated (mulberry32). */
export function randomFrom(seed: number): { below(bound: number): number; bytes(byteLength: number): Uint8Array } {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return { below, bytes: (byteLength) => Uint8Array.from({ length: byteLength }, () => below(256)) };
}
