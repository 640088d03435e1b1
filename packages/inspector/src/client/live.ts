import { useEffect, useState } from "preact/hooks";
import type { Live, PageName } from "../data/pages.ts";

export type Connection = "connecting" | "live" | "lost" | "paused";

const AGAIN_MS = 2_000;

/** The state that the server pushes for `page`, until `isPaused`. */
export function useLive(page: PageName, isPaused: boolean): { readonly live: Live; readonly connection: Connection } {
  const [live, setLive] = useState<Live>({});
  const [connection, setConnection] = useState<Connection>("connecting");
  useEffect(() => {
    standsStill = isPaused;
    if (isPaused) {
      setConnection("paused");
      return undefined;
    }
    setConnection("connecting");
    let source: EventSource | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    const connect = (): void => {
      source = new EventSource(`api/live?page=${page}`);
      source.addEventListener("message", ({ data }: MessageEvent<string>) => {
        const parts = JSON.parse(data) as Live;
        setLive(({ error: _error, ...before }) => ({ ...before, ...parts }));
        setConnection("live");
      });
      source.addEventListener("error", () => {
        setConnection("lost");
        // A browser does not try again where the server has refused.
        if (source?.readyState === EventSource.CLOSED) again = setTimeout(connect, AGAIN_MS);
      });
    };
    connect();
    return () => {
      clearTimeout(again);
      source?.close();
    };
  }, [page, isPaused]);
  return { live, connection };
}

/** Times are those of the last update, too. */
let standsStill = false;

/** The time, again each second, until updates are paused. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => standsStill || setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
