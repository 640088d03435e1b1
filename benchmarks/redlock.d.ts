// Its package names no types for import.
declare module "redlock" {
  import type { Redis } from "ioredis";

  interface Settings {
    readonly retryCount?: number;
    readonly retryDelay?: number;
  }

  interface Lock {
    release(): Promise<unknown>;
  }

  export default class Redlock {
    constructor(clients: readonly Redis[], settings?: Settings);
    acquire(resources: string[], durationMs: number): Promise<Lock>;
    on(event: "error", listener: (error: Error) => void): this;
    using<T>(
      resources: string[],
      durationMs: number,
      routine: (signal: AbortSignal & { readonly error?: Error }) => Promise<T>,
    ): Promise<T>;
  }
}
