import type { PageSpec } from "./page-spec.ts";
import { PAGES } from "./pages.ts";

/** The page of a name that is missing in pages.ts, by the beginning of its specifier. */
const PAGE_OF_OTHERS: Readonly<Record<string, string>> = {
  "@hotset/redis-toolkit/connection": "toolkit-connection",
  "@hotset/redis-toolkit/lock": "toolkit-locks",
  "@hotset/redis-toolkit/rate-limit": "toolkit-limits",
  "@hotset/redis-toolkit/queue": "toolkit-queue",
  "@hotset/redis-toolkit/streams": "toolkit-streams",
  "@hotset/redis-toolkit/sessions": "toolkit-sessions",
  "@hotset/redis-toolkit/leaderboard": "toolkit-boards",
  "@hotset/redis-toolkit/presence": "toolkit-boards",
  "@hotset/redis-toolkit/counters": "toolkit-boards",
  "@hotset/redis-toolkit/health": "toolkit-health",
  "@hotset/redis-toolkit/pubsub": "toolkit-pubsub",
  "@hotset/redis-toolkit/scripts": "toolkit-scripts",
  "@hotset/redis-toolkit/module": "toolkit-modules",
  "@hotset/redis-toolkit/inspect": "toolkit-inspect",
  "@hotset/redis-toolkit": "toolkit",
  "@hotset/redis": "redis",
  "@hotset/http": "http",
  "@hotset/formats": "formats",
  "@hotset/metrics/otel": "otel",
  "@hotset/metrics/prometheus": "metrics",
  "@hotset/metrics": "instruments",
  "@hotset/testing/contract-suites": "contract-suites",
  "@hotset/testing": "testing",
  "hotset/testing": "testing",
  "hotset/adapter": "adapter-kit",
  "@hotset": "backends",
};

/** Every public name on exactly one page. `names`: the first specifier of each. */
export function arrange(names: ReadonlyMap<string, string>): readonly PageSpec[] {
  const listed = new Set(PAGES.flatMap((page) => page.names));
  const pageOf = (specifier: string): string =>
    PAGE_OF_OTHERS[Object.keys(PAGE_OF_OTHERS).find((start) => specifier.startsWith(start)) ?? "@hotset"]!;
  const others = [...names].filter(([name]) => !listed.has(name));
  return PAGES.map((page) => ({
    ...page,
    names: [
      ...page.names.filter((name) => names.has(name)),
      ...others.filter(([, specifier]) => pageOf(specifier) === page.file).map(([name]) => name),
    ],
  })).filter((page) => page.names.length > 0);
}
