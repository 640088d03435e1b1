import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

/** Asks the server by POST, so that keys are in no URL. @throws {Error} whose message is a sentence for people. */
export async function ask<T>(name: string, question: object, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`api/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-hotset-inspector": "1" },
      body: JSON.stringify(question),
      signal: signal ?? null,
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new Error("The server cannot be reached.", { cause: error });
  }
  const answer = (await response.json().catch(() => ({}))) as { readonly error?: string };
  if (!response.ok) throw new Error(answer.error ?? `The server answered with status ${response.status}.`);
  return answer as T;
}

export interface Asked<T> {
  readonly answer: T | undefined;
  readonly error: string | undefined;
  readonly isBusy: boolean;
  again(): void;
}

/** Whether the page is paused: then nothing is asked on its own. */
export const Paused = createContext(false);

/**
 * The answer to a question; again when the question changes, and every `everyMs` unless the page is paused. `undefined`
 * asks nothing.
 */
export function useAsk<T>(name: string, question: object | undefined, everyMs?: number): Asked<T> {
  const [state, setState] = useState<{ answer?: T; error?: string; isBusy: boolean; of?: string }>({ isBusy: true });
  const [round, setRound] = useState(0);
  const isPaused = useContext(Paused);
  const body = question === undefined ? undefined : JSON.stringify(question);
  useEffect(() => {
    if (body === undefined) return undefined;
    const leaving = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const once = async (): Promise<void> => {
      setState((before) => (before.of === body ? { ...before, isBusy: true } : { isBusy: true, of: body }));
      try {
        const answer = await ask<T>(name, JSON.parse(body) as object, leaving.signal);
        if (!leaving.signal.aborted) setState({ answer, isBusy: false, of: body });
      } catch (error) {
        if (leaving.signal.aborted) return;
        setState((before) => ({ ...before, error: (error as Error).message, isBusy: false, of: body }));
      }
      if (everyMs !== undefined && !isPaused && !leaving.signal.aborted) timer = setTimeout(() => void once(), everyMs);
    };
    void once();
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [name, body, everyMs, round, isPaused]);
  return { answer: state.answer, error: state.error, isBusy: state.isBusy, again: () => setRound((n) => n + 1) };
}
