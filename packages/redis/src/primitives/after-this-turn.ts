import { IN_WORKER } from "@hotset/core/internal";

/**
 * Calls `callback` when the calls of this turn of the event loop have been made. In workerd timers end with the request
 * that set them, which may be before they fire: there it is called in the next microtask.
 */
export const afterThisTurn: (callback: () => void) => void = IN_WORKER
  ? queueMicrotask
  : typeof setImmediate === "undefined"
    ? (callback) => void setTimeout(callback, 0)
    : setImmediate;
