/**
 * Calls a listener of the user. An error that it throws is an uncaught exception: it must not keep the event from other
 * listeners, nor break the connection.
 */
export function deliver<Given extends readonly unknown[]>(listener: (...given: Given) => void, ...given: Given): void {
  try {
    listener(...given);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
