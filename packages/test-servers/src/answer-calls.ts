/** Functions that another process may call. */
export type Handlers = Readonly<Record<string, (...args: never[]) => unknown>>;

export interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: {
    readonly name: string;
    readonly message: string;
    readonly code: string | undefined;
    readonly stack: string | undefined;
  };
}

/**
 * The script's side of `forkScript`: answers the calls of the parent process, also while earlier ones are running. The
 * process stays alive while the channel is open, and may end once it is closed.
 */
export function answerCalls(handlers: Handlers): void {
  process.on("message", (message) => {
    const { id, name, args } = message as Call;
    void (async () => {
      const handler = handlers[name] as ((...given: readonly unknown[]) => unknown) | undefined;
      if (handler === undefined)
        throw new Error(`unknown handler ${name}; the handlers are ${Object.keys(handlers).join(", ")}`);
      return handler(...args);
    })().then(
      (value) => answer({ id, value }),
      (error: unknown) => answer({ id, error: described(error) }),
    );
  });
}

function answer(message: Answer): void {
  if (!process.connected) return;
  try {
    process.send?.(message);
  } catch (error) {
    // A result that cannot be cloned is reported as an error, so that the caller does not wait.
    process.send?.({ id: message.id, error: described(error) } satisfies Answer);
  }
}

function described(error: unknown): NonNullable<Answer["error"]> {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), code: undefined, stack: undefined };
  const { code } = error as { readonly code?: unknown };
  return {
    name: error.name,
    message: error.message,
    code: typeof code === "string" ? code : undefined,
    stack: error.stack,
  };
}
