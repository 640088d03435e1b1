import type { DedicatedConnection } from "../client/contract.ts";
import type { StreamPlace } from "./stream-place.ts";

export interface BlockingRead<R> {
  /** 0: the command does not wait. */
  readonly blockMs: number;
  readonly signal: AbortSignal;
  readonly decode: (reply: unknown) => R;
}

/** The connection of one reader, which waits in the server. Opened at the first read; after a failure, again. */
export class BlockingReads {
  readonly #place: StreamPlace;
  #connection: DedicatedConnection | undefined;

  constructor(place: StreamPlace) {
    this.#place = place;
  }

  /** @param describe gets the key as Redis has it. */
  async read<R>(
    describe: (key: string) => readonly string[],
    { blockMs, signal, decode }: BlockingRead<R>,
  ): Promise<R> {
    const { module, key, values } = this.#place;
    if (this.#connection?.isOpen !== true)
      this.#connection = await module.connection.open({ role: "blocking", key: module.space.inside(key), signal });
    const connection = this.#connection;
    try {
      return await module.runInside(
        (space) => {
          const inside = space.inside(key);
          return { args: describe(inside), keys: [inside], isReadOnly: false, replies: values, decode };
        },
        { call: (args, { typeMapping } = {}) => connection.call(args, { blockMs, typeMapping, signal }) },
      );
    } catch (error) {
      // It may lead to a replica by now, or to a node that the slot has left.
      await connection.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#connection?.close();
  }
}
