import { RedisClient } from "@redis/client";

const newClient = (url: string) => new RedisClient({ url, emitInvalidate: true });

/** A connection that tracks changes below a prefix, as coherence does. */
export class Tracker {
  readonly client: ReturnType<typeof newClient>;
  readonly #received: (string | null)[] = [];

  private constructor(client: ReturnType<typeof newClient>) {
    this.client = client;
    client
      .on("error", () => undefined)
      .on("invalidate", (key: Buffer | null) => this.#received.push(key === null ? null : String(key)));
  }

  /** @param mode `NOLOOP` to leave out its own changes. */
  static async open(url: string, prefix: string, mode?: "NOLOOP"): Promise<Tracker> {
    const tracker = new Tracker(newClient(url));
    await tracker.client.connect();
    // emitInvalidate has turned on tracking of the keys read here.
    await tracker.client.sendCommand(["CLIENT", "TRACKING", "OFF"]);
    await tracker.client.sendCommand([
      "CLIENT",
      "TRACKING",
      "ON",
      "BCAST",
      ...(mode === undefined ? [] : [mode]),
      "PREFIX",
      prefix,
    ]);
    return tracker;
  }

  /** The keys pushed since the last call, `null` for all keys; every change acknowledged by now is among them. */
  async received(): Promise<readonly (string | null)[]> {
    await this.client.sendCommand(["PING"]);
    return this.#received.splice(0);
  }

  close(): void {
    this.client.destroy();
  }
}
