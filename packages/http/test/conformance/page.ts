/** How many tests of each kind pass, and which do not. */
export interface Counts {
  readonly required: Count;
  readonly optimal: Count;
}

interface Count {
  readonly passed: number;
  readonly of: number;
  readonly missing: readonly string[];
}

/** docs/reference/http-conformance.md */
export function pageOf(all: Readonly<Record<string, Counts>>): string {
  const rows = Object.entries(all).map(([name, { required, optimal }]) => {
    const missing = [...required.missing, ...optimal.missing].filter((id) => !IMPOSSIBLE.has(id));
    // Other caches miss too many to name.
    const named =
      missing.length > MOST_NAMED ? `${missing.length} others` : missing.map((id) => `\`${id}\``).join(", ");
    return `| ${name} | ${required.passed} | ${optimal.passed} | ${named} |`;
  });
  const reasons = Object.entries(REASONS)
    .filter(([id]) => Object.values(all).some(({ required, optimal }) => named(required, optimal).includes(id)))
    .map(([id, reason]) => `| \`${id}\` | ${reason} |`);
  const [{ required, optimal } = NONE] = Object.values(all);
  return `# HTTP caching, measured

[http-tests/cache-tests](https://github.com/http-tests/cache-tests) is the public test suite of HTTP caches. Each row is a reverse proxy of a few
lines behind one adapter of \`@hotset/http\`, as an application mounts it. \`npm run tool -- conformance\` writes this page.

Of ${required.of} required tests and ${optimal.of} optimal ones pass:

| | required | optimal | missing, but for those that no cache can pass |
|---|---:|---:|---|
${rows.join("\n")}

All rows but the one with the defaults of a server run with \`setCookie: "store"\`, \`requestDirectives: true\` and \`safeHeaders: false\`, which is
what RFC 9111 describes. A test counts only if the tests pass on which it depends.

## What is missing, and why

| test | |
|---|---|
${reasons.join("\n")}
`;
}

const NONE: Counts = { required: { passed: 0, of: 0, missing: [] }, optimal: { passed: 0, of: 0, missing: [] } };
const named = (...counts: readonly Count[]): readonly string[] => {
  const missing = counts.flatMap((count) => count.missing);
  return missing.length > MOST_NAMED + IMPOSSIBLE.size ? [] : missing;
};
const MOST_NAMED = 30;

/** They contradict other tests, or want partial responses to be stored. */
const IMPOSSIBLE: ReadonlySet<string> = new Set([
  "conditional-lm-fresh-no-lm",
  ...["partial-store-partial-reuse-partial", "partial-store-partial-reuse-partial-byterange"],
  ...["partial-store-partial-reuse-partial-absent", "partial-store-partial-reuse-partial-suffix"],
  "partial-store-partial-complete",
]);

const REASONS: Readonly<Record<string, string>> = {};
