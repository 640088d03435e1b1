import type { IncomingMessage, ServerResponse } from "node:http";
import { connect, createServer, type ClientHttp2Stream, type OutgoingHttpHeaders } from "node:http2";
import { duplexPair } from "node:stream";
import { ignore } from "./cache/messages.ts";
import type { FieldLine, FieldLines, PlainRequest, PlainResponse } from "./index.ts";
import { pathOf, run, tlsOf, type Load } from "./load-pair.ts";
import { ConnectionEndedError } from "./load-socket.ts";

/**
 * As `loadOverHttp1`, for clients of HTTP/2, whose handlers may read `:path`, `authority` or the stream. A session for
 * each load: in one that they share, a body without a reader would hold up the bodies of others.
 */
export function loadOverHttp2(load: Load): Promise<PlainResponse> {
  const { asked, context } = load;
  const { promise: head, resolve, reject } = Promise.withResolvers<PlainResponse>();
  const { protocol, host } = new URL(asked.url);
  const [near, far] = duplexPair();
  Object.assign(near, tlsOf(asked.url));
  let isFailure = false;
  const begin = (request: unknown, response: unknown): void => {
    const pair = { request: request as IncomingMessage, response: response as ServerResponse };
    run(load, pair, () => (isFailure = true)).catch(fail);
  };
  createServer({ maxHeaderListPairs: MOST_FIELDS }, begin).on("sessionError", reject).emit("connection", near);
  const options = { createConnection: () => far, maxHeaderListPairs: MOST_FIELDS, settings: { enablePush: false } };
  const client = connect(`${protocol}//${host}`, options).on("error", reject);
  const stream = client.request(headersOf(asked), { endStream: true });
  function fail(error: unknown): void {
    reject(error);
    stream.destroy();
    client.destroy();
    near.destroy();
  }
  stream.on("headers", (headers) => context.onInformation?.(Number(headers[":status"]), linesOf(headers)));
  stream.once("response", (headers) =>
    resolve({
      status: Number(headers[":status"]),
      statusText: "",
      fields: linesOf(headers),
      body: bodyOf(stream),
      isFailure,
    }),
  );
  stream.on("error", (error) => reject(new ConnectionEndedError(error)));
  stream.once("close", () => {
    reject(new ConnectionEndedError());
    client.close(() => near.destroy());
  });
  context.signal.addEventListener("abort", () => fail(context.signal.reason), { once: true });
  return head;
}

function headersOf({ method, url, fields }: PlainRequest): OutgoingHttpHeaders {
  const { protocol, host } = new URL(url);
  const headers: Record<string, string | string[]> = {
    ":method": method,
    ":scheme": protocol.slice(0, -1),
    ":authority": host,
    ":path": pathOf(url),
  };
  for (const [name, value] of fields) {
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}

const linesOf = (headers: object): FieldLines =>
  Object.entries(headers as OutgoingHttpHeaders)
    .filter(([name]) => !name.startsWith(":"))
    .flatMap(([name, value]) => [value ?? []].flat().map((each): FieldLine => [name, String(each)]));

/** Read no faster than its reader does: the stream has a window. */
function bodyOf(stream: ClientHttp2Stream): ReadableStream<Uint8Array> {
  const parts = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await parts.next().catch((error: unknown) => {
          throw new ConnectionEndedError(error);
        });
        if (next.done !== true) return controller.enqueue(new Uint8Array(next.value));
        if (stream.aborted) throw new ConnectionEndedError();
        controller.close();
      },
      cancel: () => void stream.on("error", ignore).destroy(),
    },
    { highWaterMark: 0 },
  );
}

const MOST_FIELDS = 1_000;
