import type { Awaitable, Backend, StoredEntry } from "@hotset/core";
import type { TestClock } from "./index.ts";

/** Shared by the parts of `describeBackend`: the backend of the running test, and helpers to inspect it. */
export interface BackendSubject {
  readonly backend: Backend;
  readonly clock: TestClock;
  readonly expiry: "clock" | "server";
  /** Whether {@link other} is another process. */
  readonly hasPeers: boolean;
  readonly leasesReplaceMissing: boolean;
  /** Cuts the link of a backend, if the suite can. */
  readonly cut: ((backend: Backend) => Awaitable<void>) | undefined;
  /** The backend of another process, over the same store; {@link backend} itself if the suite cannot open one. */
  other(): Promise<Backend>;
  /** Lets entries and leases of `ms` end. */
  pass(ms: number): Promise<void> | void;
  /** Compares data and meta exactly, times within the precision of the store's clock. */
  expectEntry(entry: StoredEntry | undefined, written: StoredEntry): void;
  expectRemaining(actual: number, written: number): void;
}

/** A key in the form that the cache uses: `<name>:<namespace>::<key of the user>`. */
export const KEY = "shop:users::user ";

export const stored = (entry: Partial<StoredEntry> = {}): StoredEntry => ({
  data: Uint8Array.of(1, 2, 3),
  staleInMs: 60_000,
  expiresInMs: 90_000,
  meta: "json none",
  ...entry,
});

/** The entry of a batch's answer. @throws the error of a key that could not be read. */
export function found(answer: StoredEntry | Error | undefined): StoredEntry | undefined {
  if (answer instanceof Error) throw answer;
  return answer;
}
