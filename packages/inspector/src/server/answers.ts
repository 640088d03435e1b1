const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** Sent with every answer. */
const FIELDS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": CSP,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

export const answerOf = (
  status: number,
  type: string,
  body: string | ReadableStream<Uint8Array> | null,
  fields: Readonly<Record<string, string>> = {},
): Response => new Response(body, { status, headers: { ...FIELDS, "content-type": type, ...fields } });

export const textOf = (status: number, text: string, fields: Readonly<Record<string, string>> = {}): Response =>
  answerOf(status, "text/plain; charset=utf-8", `${text}\n`, fields);

export const jsonOf = (status: number, body: unknown): Response =>
  answerOf(status, "application/json; charset=utf-8", JSON.stringify(body));
