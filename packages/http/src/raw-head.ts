import type { FieldLine, PlainResponse } from "./index.ts";

/** A head as HTTP/1 writes it, and where what follows it begins. */
export interface RawHead extends Omit<PlainResponse, "body"> {
  readonly end: number;
}

/** The head that begins at `at`, once it is there whole. */
export function headAt(bytes: Buffer, at: number): RawHead | undefined {
  const end = bytes.indexOf(END_OF_HEAD, at);
  if (end < 0) return undefined;
  const [first = "", ...lines] = bytes.toString("latin1", at, end).split("\r\n");
  const [, status = "0", statusText = ""] = /^HTTP\/\d\.\d (\d{3}) ?(.*)$/.exec(first) ?? [];
  const fields = lines.map((line): FieldLine => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { status: Number(status), statusText, fields, end: end + END_OF_HEAD.length };
}

const END_OF_HEAD = "\r\n\r\n";
