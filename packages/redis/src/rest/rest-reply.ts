import { BackendUnavailableError } from "@hotset/core";
import { Buffer } from "../primitives/buffer.ts";

/** The most bytes of one answer: a service that sends more is not believed. */
const MAX_REPLY_BYTES = 2 ** 28;

/** What a service answers to one command. */
export type RestReply = { readonly result: unknown } | { readonly error: Error };

/**
 * The answers to `count` commands.
 *
 * @throws {BackendUnavailableError} for any other answer. Its message names the status, and quotes nothing of the body.
 */
export async function repliesOf(response: Response, count: number, address: string): Promise<readonly RestReply[]> {
  const { status, headers } = response;
  const kind = headers.get("content-type")?.split(";")[0] ?? "no content type";
  const text = await textOf(response);
  const failed = (reason: string, details: { maybeExecuted: boolean; retryable?: boolean }): never => {
    // Not executed, it was not reached: as an attempt to connect that failed.
    const operation = details.maybeExecuted ? "request" : "connect";
    throw new BackendUnavailableError(`Redis over HTTP at ${address} ${reason}`, { operation, ...details });
  };
  const answered = `answered with ${status} and ${kind}`;
  if (status === 401 || status === 403)
    failed(`refused the token (${status}): check token, and that it may write`, {
      maybeExecuted: false,
      retryable: false,
    });
  if (status === 429) failed("takes no more requests for now (429)", { maybeExecuted: false });
  if (status === 413) return Array.from({ length: count }, () => ({ error: new Error(TOO_LARGE) }));
  if (status >= 300 && status < 400)
    failed(`${answered}: give the url that it redirects to`, { maybeExecuted: false, retryable: false });
  const body = parsed(text);
  const answers: readonly unknown[] = Array.isArray(body) ? body : [body];
  const isWhole = answers.length === count && answers.every(isAnswer);
  // A command that Redis refuses is answered with 400; a pipeline that cannot be read is, too, as one error for all.
  if (isWhole && (status === 200 || status === 400)) return answers.map((one) => replyOf(one));
  if (status === 404) failed(`${answered}: check url`, { maybeExecuted: false, retryable: false });
  if (status === 400 && isAnswer(body) && "error" in body) return Array.from({ length: count }, () => replyOf(body));
  return failed(status === 200 ? "gave an answer that cannot be read" : answered, { maybeExecuted: true });
}

type Answer = { readonly result: unknown } | { readonly error: string };

const isAnswer = (value: unknown): value is Answer =>
  typeof value === "object" &&
  value !== null &&
  ("result" in value || typeof (value as { error?: unknown }).error === "string");

const TOO_LARGE = "ERR the service takes no request as large (413): set maxRequestBytes to what it takes";

/** Error replies begin with their kind, in capitals. */
function replyOf(answer: Answer): RestReply {
  if (!("error" in answer) || answer.error === undefined) return { result: (answer as { result: unknown }).result };
  const text = String(answer.error);
  return { error: new Error(/^[A-Z][A-Z0-9_]+ /.test(text) ? text : `ERR ${text}`) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @throws what reading throws, for a body that is cut or too long. */
async function textOf(response: Response): Promise<string> {
  const { body } = response;
  if (body === null) return "";
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.length;
    if (bytes > MAX_REPLY_BYTES) {
      await reader.cancel();
      throw new Error(`an answer of more than ${MAX_REPLY_BYTES} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}

/** Blobs of a reply, which came as base64, as bytes. `OK` comes as it is, and is no base64. */
export function decoded(reply: unknown): unknown {
  if (Array.isArray(reply)) return reply.map(decoded);
  if (typeof reply !== "string" || reply === "OK") return reply;
  return bytesOf(reply);
}

export function bytesOf(base64: string): Buffer {
  if (hasNode) return Buffer.from(base64, "base64");
  const binary = atob(base64);
  const bytes = Buffer.allocUnsafe(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const hasNode: boolean = /* @__PURE__ */ (() => (Buffer as unknown) === (globalThis as { Buffer?: unknown }).Buffer)();
