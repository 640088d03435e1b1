// What the newcomer ran, and the bundles it made: docs/guide/runtimes.json, and the table of serverless.md.

import { globSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

export interface Ran {
  readonly name: string;
  readonly version: string;
  /** All files of the bundle. */
  readonly bytes?: number;
  readonly gzipped?: number;
}

const RECORD = new URL("../../docs/guide/runtimes.json", import.meta.url);
const PAGE = new URL("../../docs/guide/serverless.md", import.meta.url);
const TABLE = /(?<=<!-- runtimes -->\n)[^]*(?=<!-- \/runtimes -->)/;

export function tableOf(ran: readonly Ran[]): string {
  const kB = (bytes: number): string => Math.round(bytes / 1_000).toLocaleString("en");
  const rows = ran.map(({ name, version, bytes, gzipped }) => {
    const size = bytes === undefined ? "" : `${kB(bytes)} kB (${kB(gzipped!)})`;
    return `|${name}|${version}|${size}|\n`;
  });
  return `\n|runtime, bundler|version|bundle (gzipped)|\n|---|---|---|\n${rows.join("")}\n`;
}

/** The record, and the table of the page. */
export function recorded(): { readonly ran: readonly Ran[]; readonly table: string | undefined } {
  const ran = JSON.parse(readFileSync(RECORD, "utf8")) as readonly Ran[];
  return { ran, table: TABLE.exec(readFileSync(PAGE, "utf8"))?.[0] };
}

export function record(ran: readonly Ran[]): void {
  writeFileSync(RECORD, `${JSON.stringify(ran, undefined, 2)}\n`);
  writeFileSync(PAGE, readFileSync(PAGE, "utf8").replace(TABLE, tableOf(ran)));
}

export function sizeOf(folder: string): Required<Pick<Ran, "bytes" | "gzipped">> {
  const files = Buffer.concat(globSync(`${folder}/**/*.*`).map((path) => readFileSync(path)));
  return { bytes: files.length, gzipped: gzipSync(files).length };
}
