/** A request that cannot be answered; the page shows the sentence. */
export class AskError extends Error {
  override readonly name = "AskError";
  readonly status: 400 | 403 | 404 | 409 | 413 | 415;

  constructor(status: AskError["status"], message: string) {
    super(message);
    this.status = status;
  }
}
