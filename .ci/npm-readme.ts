// The README that npm shows for `hotset` is that of the repository, with links that work there. It is written when the
// package is packed, and is in no commit.
//
//   npm run write -- readme

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PAGES = "https://github.com/hotset/hotset/blob/main/";
export const FILES: string = "https://raw.githubusercontent.com/hotset/hotset/main/";

const top = dirname(dirname(fileURLToPath(import.meta.url)));
export const SOURCE: string = join(top, "README.md");
export const TARGET: string = join(top, "packages/hotset/README.md");

/** Links and pictures of the repository are addressed from the root of the host; comments that name figures go. */
export function npmReadme(text: string): string {
  return text
    .replaceAll(/<!-- [^>]* -->\n\n?/g, "")
    .replaceAll(/ src(set)?="(?![a-z]+:)/g, (attribute) => attribute + FILES)
    .replaceAll(/(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)/g, (_, picture: string, words: string, path: string) =>
      picture === "!" ? `![${words}](${FILES}${path})` : `[${words}](${PAGES}${path})`,
    );
}

if (import.meta.main) writeFileSync(TARGET, npmReadme(readFileSync(SOURCE, "utf8")));
