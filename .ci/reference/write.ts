// Writes docs/reference/api from the types: `npm run write -- reference`.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readModel } from "./model.ts";
import { renderPages } from "./render.ts";

const folder = fileURLToPath(new URL("../../docs/reference/api", import.meta.url));
const pages = renderPages(readModel());
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const [file, text] of pages) writeFileSync(join(folder, file), text);
console.log(`${pages.size} pages written to docs/reference/api`);
