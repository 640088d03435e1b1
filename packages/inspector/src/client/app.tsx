import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Finding, Live, PageName } from "../data/pages.ts";
import { Paused } from "./ask.ts";
import { plural } from "./format.ts";
import { useLive, type Connection } from "./live.ts";
import { Fleet } from "./pages/fleet.tsx";
import { Http } from "./pages/http.tsx";
import { Invalidations } from "./pages/invalidations.tsx";
import { Keys } from "./pages/keys.tsx";
import { Limits } from "./pages/limits.tsx";
import { Locks } from "./pages/locks.tsx";
import { Overview } from "./pages/overview.tsx";
import { Queues } from "./pages/queues.tsx";
import { RedisServer } from "./pages/redis.tsx";
import { Stale } from "./pages/stale.tsx";
import { Stampedes } from "./pages/stampedes.tsx";
import { ErrorText } from "./parts/basics.tsx";
import { FindingList } from "./parts/findings.tsx";
import { TITLES, type Go, type KeyPlace, type PageProps } from "./places.ts";

interface PageInfo {
  readonly about: string;
  readonly page: (props: PageProps) => ComponentChildren;
}

const INFO: Readonly<Partial<Record<PageName, PageInfo>>> = {
  overview: { about: "What stands out now, and how the caches do.", page: Overview },
  keys: { about: "Groups of keys by cost, and the keys themselves.", page: Keys },
  invalidations: {
    about: "Who invalidates what, as it happens.",
    page: Invalidations,
  },
  stampedes: {
    about: "Calls that wait for the same load, and the leases behind it.",
    page: Stampedes,
  },
  stale: {
    about: "Keys served stale because their loads fail, and loads that are put off.",
    page: Stale,
  },
  fleet: { about: "The processes that share these caches.", page: Fleet },
  redis: { about: "Memory by what it is for, and how the servers are.", page: RedisServer },
  queues: { about: "Jobs by state; why jobs died.", page: Queues },
  locks: { about: "Locks that are held now.", page: Locks },
  limits: { about: "Rate limits, and who they count.", page: Limits },
  http: { about: "How HTTP responses were answered, and why some were not stored.", page: Http },
};

const pageOf = (hash: string): PageName => {
  const name = hash.replace(/^#\/?/, "") as PageName;
  return name in INFO ? name : "overview";
};

export function App(): JSX.Element {
  const [page, setPage] = useState(pageOf(location.hash));
  const [chosen, setChosen] = useState<KeyPlace>();
  const [isPaused, setPaused] = useState(false);
  const { live, connection } = useLive(page, isPaused);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const follow = (): void => setPage(pageOf(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${TITLES[page]} – hotset inspector`;
    // A screen reader begins with the new page.
    if (!isFirst.current) heading.current?.focus();
    isFirst.current = false;
  }, [page]);
  const go: Go = (to, key) => {
    setChosen(key);
    location.hash = `#/${to}`;
  };
  const { about, page: Page } = INFO[page]!;
  return (
    <div class="layout">
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), heading.current?.focus())}>
        Skip to the page
      </a>
      <Menu live={live} page={page} />
      <main id="main">
        <header class="head">
          <div>
            <h1 ref={heading} tabIndex={-1}>
              {TITLES[page]}
            </h1>
            <p class="about">{about}</p>
          </div>
          <LiveSwitch connection={connection} onPause={setPaused} process={live.status?.process} />
        </header>
        {live.error !== undefined && <ErrorText>The state cannot be read: {live.error}</ErrorText>}
        {page !== "overview" && (
          <FindingList findings={live.findings?.filter((each) => each.page === page) ?? []} go={go} />
        )}
        <Paused.Provider value={isPaused}>
          <Page live={live} go={go} chosen={chosen} />
        </Paused.Provider>
      </main>
    </div>
  );
}

function Menu({ live, page }: { readonly live: Live; readonly page: PageName }): JSX.Element {
  const pages = live.status?.pages ?? ["overview"];
  const current = useRef<HTMLAnchorElement>(null);
  // On a phone the links scroll sideways.
  useEffect(() => current.current?.scrollIntoView({ block: "nearest", inline: "nearest" }), [page, pages.length]);
  const findingsOf = (name: PageName): readonly Finding[] => live.findings?.filter((each) => each.page === name) ?? [];
  return (
    <nav aria-label="Pages">
      <p class="brand">
        <span class="mark" aria-hidden="true" />
        hotset
      </p>
      <ul>
        {pages.map((name) => {
          if (!(name in INFO)) return null;
          const found = findingsOf(name);
          return (
            <li key={name}>
              <a
                href={`#/${name}`}
                ref={name === page ? current : null}
                aria-current={name === page ? "page" : undefined}
              >
                {TITLES[name]}
                {found.length > 0 && (
                  <span
                    class={`count ${found.some(({ level }) => level === "error") ? "error" : "warning"}`}
                    aria-label={plural(found.length, "finding")}
                  >
                    {found.length}
                  </span>
                )}
              </a>
            </li>
          );
        })}
      </ul>
      {live.status?.canWrite === false && <p class="read-only">Read-only</p>}
    </nav>
  );
}

const WORDS: Readonly<Record<Connection, string>> = {
  connecting: "Connecting",
  live: "Live",
  lost: "Connection lost, trying again",
  paused: "Paused",
};

function LiveSwitch(props: {
  readonly connection: Connection;
  readonly onPause: (isPaused: boolean) => void;
  readonly process: string | undefined;
}): JSX.Element {
  const isPaused = props.connection === "paused";
  return (
    <div class="live">
      <div>
        <span class={`dot ${props.connection}`} aria-hidden="true" />
        <span role="status">{WORDS[props.connection]}</span>
        {props.process !== undefined && <span class="process">{props.process}</span>}
      </div>
      <button type="button" onClick={() => props.onPause(!isPaused)}>
        {isPaused ? "Resume updates" : "Pause updates"}
      </button>
    </div>
  );
}
