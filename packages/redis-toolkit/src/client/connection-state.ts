/** How a connection becomes as it was: by one command, or not at all. */
export type Reset = "none" | "DISCARD" | "UNWATCH" | "impossible";

/** Whether the commands that were sent over a connection have changed its state. */
export class ConnectionState {
  #isInTransaction = false;
  #isWatching = false;
  #isOther = false;

  /** @param name of a command that is being sent. */
  sent(name: string): void {
    const command = name.toUpperCase();
    switch (command) {
      case "MULTI":
        this.#isInTransaction = true;
        break;
      case "WATCH":
        this.#isWatching = true;
        break;
      case "UNWATCH":
        // In a transaction it would be queued.
        if (!this.#isInTransaction) this.#isWatching = false;
        break;
      case "EXEC":
      case "DISCARD":
        // Without a transaction it is refused.
        if (this.#isInTransaction) this.#isInTransaction = this.#isWatching = false;
        break;
      default:
        this.#isOther ||= CHANGES_CONNECTION.has(command);
    }
  }

  get reset(): Reset {
    if (this.#isOther) return "impossible";
    // It ends the watch, too.
    if (this.#isInTransaction) return "DISCARD";
    return this.#isWatching ? "UNWATCH" : "none";
  }
}

/** Commands after which a connection is not as a new one. */
const CHANGES_CONNECTION: ReadonlySet<string> = new Set([
  "ASKING",
  "AUTH",
  "CLIENT",
  "HELLO",
  "MONITOR",
  "PSUBSCRIBE",
  "PSYNC",
  "PUNSUBSCRIBE",
  "QUIT",
  "READONLY",
  "READWRITE",
  "RESET",
  "SCRIPT",
  "SELECT",
  "SSUBSCRIBE",
  "SUBSCRIBE",
  "SUNSUBSCRIBE",
  "SYNC",
  "UNSUBSCRIBE",
]);
