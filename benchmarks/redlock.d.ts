// Its package names no types for import.
declare module "redlock" {
  import type { Redis } from "ioredis";

  interface Lock {
    release(): Promise<unknown>;
  }

  export default class Redlock {
    constructor(clients: readonly Redis[], settings?: { readonly retryCount?: number });
    acquire(resources: string[], durationMs: number): Promise<Lock>;
    on(event: "error", listener: (error: Error) => void): this;
  }
}
