import { POLL_MS } from "../src/queue/wake-listener.ts";

/** For what a wake or a due time brings about. It ends before a worker asks anyway, after {@link POLL_MS}. */
export const SOON = { timeout: POLL_MS - 1_000 };
