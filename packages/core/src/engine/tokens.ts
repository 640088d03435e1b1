/** Names a write that is acknowledged: a later read with this token finds it, or a newer one. */
export function newToken(): string {
  tokens += 1;
  return `${PROCESS}.${tokens.toString(36)}`;
}

const PROCESS = Math.random().toString(36).slice(2, 10);
let tokens = 0;
