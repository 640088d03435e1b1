/** A change was not sent. No error of a server that cannot be reached: nothing was asked of it. */
export class StandstillError extends Error {
  override readonly name = "StandstillError";

  constructor(label: string, operation: string) {
    super(`${label}: ${operation} was not sent: this process stood still, and others may have written since`);
  }
}
