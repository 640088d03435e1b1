/** Arguments that can never work. The message is one sentence for the terminal, without any secret. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Redis could not be reached, or refused the login. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}
