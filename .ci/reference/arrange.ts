import { PAGES, type PageSpec } from "./pages.ts";

/** The page of a name that is missing in pages.ts, by the beginning of its specifier. */
const PAGE_OF_OTHERS: Readonly<Record<string, string>> = {
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
