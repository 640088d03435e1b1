// Writes docs/requirements.md: `npm run rows`.

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ROWS, SECTIONS } from "./all.ts";
import { findExamples } from "./examples.ts";
import { renderPage } from "./page.ts";

const top = resolve(import.meta.dirname, "../../..");
writeFileSync(join(top, "docs/requirements.md"), renderPage(SECTIONS, findExamples(top)));
console.log(`${ROWS.length} rows written to docs/requirements.md`);
