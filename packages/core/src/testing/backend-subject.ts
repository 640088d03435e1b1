import type { Backend, StoredEntry } from "../contracts/backend.ts";
import type { TestClock } from "./test-clock.ts";

/** What the parts of `describeBackend` share: the backend of the test that runs, and how to look at it. */
export interface BackendSubject {
  readonly backend: Backend;
  readonly clock: TestClock;
  readonly expiry: "clock" | "server";
  /** Whether {@link other} is another process. */
  readonly hasPeers: boolean;
  /** A backend as another process has it, over the same store; {@link backend} itself where the suite cannot open one. */
  other(): Promise<Backend>;
  /** Lets entries and leases of `ms` end. */
  pass(ms: number): Promise<void> | void;
  /** Data and meta exactly; times as far as the store's clock allows. */
  expectEntry(entry: StoredEntry | undefined, written: StoredEntry): void;
  expectRemaining(actual: number, written: number): void;
}

/** As the cache makes them: `<name>:<namespace>::<key of the user>`. */
export const KEY = "shop:users::user ";

export const stored = (entry: Partial<StoredEntry> = {}): StoredEntry => ({
  data: Uint8Array.of(1, 2, 3),
  staleInMs: 60_000,
  expiresInMs: 90_000,
  meta: "json none",
  ...entry,
});
