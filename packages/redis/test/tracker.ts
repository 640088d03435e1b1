import { RedisClient } from "@redis/client";

const newClient = (url: string) => new RedisClient({ url, emitInvalidate: true });

/** A connection that is told of changes below a prefix, as coherence is. */
export class Tracker {
  readonly client: ReturnType<typeof newClient>;
  readonly #heard: (string | null)[] = [];

  private constructor(client: ReturnType<typeof newClient>) {
    this.client = client;
    client
      .on("error", () => undefined)
      .on("invalidate", (key: Buffer | null) => this.#heard.push(key === null ? null : String(key)));
  }

  /** @param mode `NOLOOP` where it should not be told of what it does itself. */
  static async open(url: string, prefix: string, mode?: "NOLOOP"): Promise<Tracker> {
    const tracker = new Tracker(newClient(url));
    await tracker.client.connect();
    // What emitInvalidate has turned on is tracking of what was read here.
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

  /** The keys pushed since the last look, `null` for all: of everything that was acknowledged to anybody by now. */
  async heard(): Promise<readonly (string | null)[]> {
    await this.client.sendCommand(["PING"]);
    return this.#heard.splice(0);
  }

  close(): void {
    this.client.destroy();
  }
}
