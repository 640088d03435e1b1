import type { FieldLine, FieldLines, PlainResponse } from "./index.ts";

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

/** The bytes with the Cache-Status of `fields` in this head of them, in place of any that is there. */
export function withCacheStatus(bytes: Buffer, was: RawHead, fields: FieldLines): Buffer {
  const status = fields.find(([name]) => name === "cache-status");
  if (status === undefined) return bytes;
  const line = Buffer.from(`cache-status: ${status[1]}\r\n\r\n`, "latin1");
  const { end } = was;
  const head = bytes.subarray(0, end - "\r\n".length);
  const others = was.fields.some(([name]) => name === "cache-status") ? withoutStatus(head) : head;
  return Buffer.concat([others, line, bytes.subarray(end)]);
}

const withoutStatus = (head: Buffer): Buffer =>
  Buffer.from(head.toString("latin1").replace(/\r\ncache-status:[^\r]*/gi, ""), "latin1");

const END_OF_HEAD = "\r\n\r\n";
