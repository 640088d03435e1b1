/**
 * The variables of a `.env` file, as python-dotenv and dotenvy read it:
 *
 * - `NAME=value`, `export NAME=value`. A line that begins with `#` is a comment, as is the rest of a line after a blank
 *   and `#`. A `#` without a blank before it belongs to the value
 * - in quotes a value may have several lines. `"..."` knows `\n`, `\r`, `\t`, `\"`, `\\` and `\$`; others are literal
 * - `${NAME}` and `${NAME:-default}`, without quotes or in `"..."`: a variable of the process, or of a line above
 *
 * @param variables those of the process.
 */
export function parseEnvFile(
  text: string,
  variables: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const found: Record<string, string> = Object.create(null) as Record<string, string>;
  const named = (name: string): string | undefined =>
    (Object.hasOwn(variables, name) ? variables[name] : undefined) || found[name];
  const expand = (_: string, escape: string | undefined, name: string, otherwise = ""): string =>
    escape === undefined ? named(name) || otherwise : (ESCAPES[escape] ?? `\\${escape}`);
  for (const [, name, double, literal, backticked, bare = ""] of text.replace(/^\uFEFF/, "").matchAll(LINES))
    found[name!] =
      double?.replaceAll(/\\([^])|\$\{(\w+)(?::-([^}]*))?\}/g, expand) ??
      literal ??
      backticked ??
      bare.trim().replaceAll(/\\(\$)|\$\{(\w+)(?::-([^}]*))?\}/g, expand);
  return found;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\", $: "$" };

const LINES = new RegExp(
  [
    String.raw`^[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=(?:`,
    String.raw`[ \t]*(?:"((?:\\[^]|[^"\\])*)"|'([^']*)'|\`([^\`]*)\`)[ \t]*(?:#.*)?$`,
    String.raw`|((?:(?![ \t]#).)*))`,
  ].join(""),
  "gm",
);
