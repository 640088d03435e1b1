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
    const missing = missingOf({ required, optimal });
    const shown = missing.length > MOST_NAMED ? `${missing.length}` : missing.map((id) => `\`${id}\``).join(", ");
    return `| ${name} | ${required.passed} | ${optimal.passed} | ${shown} |`;
  });
  const named = new Set(
    Object.values(all)
      .map(missingOf)
      .filter((missing) => missing.length <= MOST_NAMED)
      .flat(),
  );
  const reasons = REASONS.filter(({ ids }) => [...named].some((id) => ids.test(id))).map(
    ({ of, reason }) => `| ${of} | ${reason} |`,
  );
  const [{ required, optimal } = NONE] = Object.values(all);
  return `# HTTP caching, measured

[http-tests/cache-tests](https://github.com/http-tests/cache-tests) is the public test suite of HTTP caches. Each row is a reverse proxy of a few
lines behind one adapter of \`@hotset/http\`, mounted as an application mounts it. \`npm run tool -- conformance\` writes this page.

The suite has ${required.of} required and ${optimal.of} optimal tests. So many pass:

| | required | optimal | missing, apart from six |
|---|---:|---:|---|
${rows.join("\n")}

The rows run with \`setCookie: "store"\`, \`requestDirectives: true\`, \`safeHeaders: false\` and a rule that stores errors, as RFC 9111 describes a cache. The row with the defaults
of a server stores no errors, and has only the fields of the suite's client in \`safeHeaders\`. It runs without a client's connection, because a handler that could see one
[runs twice](../guide/http.md#what-the-handler-sees) for the first answer that isn't stored, which the suite counts as a retry. A test counts only if the
tests pass on which it depends.

Six optimal tests pass nowhere here: \`conditional-lm-fresh-no-lm\` contradicts RFC 9110, and five want partial responses to be stored.

## Why tests are missing

| tests | why they fail or aren't run |
|---|---|
${reasons.join("\n")}
`;
}

const NONE: Counts = { required: { passed: 0, of: 0, missing: [] }, optimal: { passed: 0, of: 0, missing: [] } };

const missingOf = ({ required, optimal }: Counts): readonly string[] =>
  [...required.missing, ...optimal.missing].filter((id) => !NOWHERE.has(id));

/** Other caches miss more than a table can name. */
const MOST_NAMED = 20;

const NOWHERE: ReadonlySet<string> = new Set([
  "conditional-lm-fresh-no-lm",
  ...["partial-store-partial-reuse-partial", "partial-store-partial-reuse-partial-byterange"],
  ...["partial-store-partial-reuse-partial-absent", "partial-store-partial-reuse-partial-suffix"],
  "partial-store-partial-complete",
]);

const REASONS: readonly { readonly of: string; readonly ids: RegExp; readonly reason: string }[] = [
  { of: "`interim-*`", ids: /^interim-/, reason: "`fetch` hides interim responses (1xx)" },
  { of: "`invalidate-M-SEARCH*`", ids: /M-SEARCH/, reason: "Fastify has no route for the method `M-SEARCH`" },
  { of: "`headers-store-Content-Encoding`", ids: /Content-Encoding$/, reason: "`fetch` decodes bodies" },
  {
    of: "`other-authorization-*`",
    ids: /^other-authorization-/,
    reason: "A request with Authorization runs alone, unless `safeHeaders` has it",
  },
  { of: "`status-*-fresh`", ids: /^status-/, reason: "An error is stored only if a rule names its status" },
  {
    of: "`heuristic-*`, `cc-resp-no-cache-*`",
    ids: /^heuristic-|^cc-resp-no-cache/,
    reason:
      "The handler answered without the fields of its client, so the response is shared only if it says for how long it is fresh",
  },
  {
    of: "`headers-store-Set-Cookie`, `other-set-cookie`",
    ids: /set-cookie/i,
    reason: '`setCookie: "refuse"`: a response that sets a cookie is not stored',
  },
  {
    of: "`conditional-etag-vary-headers`",
    ids: /^conditional-etag-vary-headers$/,
    reason: "`Vary` names a field that the load did not have, so the origin is asked again with it",
  },
];
