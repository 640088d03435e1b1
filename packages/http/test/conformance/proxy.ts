import { request as send, Agent, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { FieldLine, FieldLines, HttpCache, PlainOrigin, PlainRequest, PlainResponse } from "@hotset/http";

/** A caching reverse proxy to one server, as small as the public suite needs. */
export function handlerOf(cache: HttpCache, origin: string): Handler {
  const forward = originOf(new URL(origin));
  return (request, response) => void respond(cache, forward, origin, request, response);
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function respond(
  cache: HttpCache,
  forward: PlainOrigin,
  origin: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const fields = linesOf(request.rawHeaders);
  const hasBody = request.headers["content-length"] !== undefined || request.headers["transfer-encoding"] !== undefined;
  const asked: PlainRequest = { method: request.method!, url: `${origin}${request.url}`, fields, hasBody };
  bodies.set(asked, request);
  try {
    const answer = await cache.answer(asked, forward, {
      onInformation: (status, info) => writeInformation(response, status, info),
    });
    write(response, answer);
  } catch (error) {
    response.writeHead((error as { code?: string }).code === "LOAD_TIMEOUT" ? 504 : 502);
    response.end();
  }
}

const bodies = new WeakMap<PlainRequest, IncomingMessage>();

function write(response: ServerResponse, { status, statusText, fields, body }: PlainResponse): void {
  response.sendDate = false;
  response.writeHead(status, statusText === "" ? undefined : statusText, fields.flat());
  if (!(body instanceof ReadableStream)) response.end(body ?? undefined);
  else
    Readable.fromWeb(body as never)
      .on("error", () => response.destroy())
      .pipe(response);
}

export function writeInformation(response: ServerResponse, status: number, fields: FieldLines): void {
  if (status === 102) response.writeProcessing();
  else
    (response as unknown as { _writeRaw(text: string, encoding: string): void })._writeRaw(
      `HTTP/1.1 ${status} Early Hints\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
      "latin1",
    );
}

function originOf(base: URL): PlainOrigin {
  const agent = new Agent({ keepAlive: true });
  return (asked, context) =>
    new Promise((resolve, reject) => {
      const attempt = (isSecond: boolean): void => {
        const url = new URL(asked.url);
        const request = send({
          // A body is sent once: not on a kept connection, which the origin may close meanwhile.
          agent: asked.hasBody ? false : agent,
          host: base.hostname,
          port: base.port,
          method: asked.method,
          path: `${url.pathname}${url.search}`,
          headers: asked.fields.filter(([name]) => name !== "connection").flat() as never,
          signal: context.signal,
        });
        request.on("information", ({ statusCode, rawHeaders }) => {
          context.onInformation?.(statusCode, linesOf(rawHeaders));
        });
        request.on("response", (response) => {
          resolve({
            status: response.statusCode!,
            statusText: response.statusMessage ?? "",
            fields: linesOf(response.rawHeaders),
            body: streamOf(response),
          });
        });
        // A kept connection that the origin has just closed.
        request.on("error", (error) => {
          if (!isSecond && request.reusedSocket && asked.method === "GET") attempt(true);
          else reject(error);
        });
        const body = bodies.get(asked);
        if (asked.hasBody && body !== undefined) body.pipe(request);
        else request.end();
      };
      attempt(false);
    });
}

/** Node reports bytes beyond Content-Length as an error after the message is complete. */
function streamOf(response: IncomingMessage): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        response.on("data", (chunk: Buffer) => {
          controller.enqueue(new Uint8Array(chunk));
          if (controller.desiredSize! <= 0) response.pause();
        });
        response.on("end", () => controller.close());
        response.on("error", (error) => {
          if (!response.complete) controller.error(error);
        });
        response.on("close", () => {
          if (!response.complete) {
            try {
              controller.error(new Error("the origin broke off"));
            } catch {
              // It has failed already.
            }
          }
        });
      },
      pull: () => void response.resume(),
      cancel: () => void response.destroy(),
    },
    { highWaterMark: 65_536, size: (chunk) => chunk?.byteLength ?? 0 },
  );
}

function linesOf(raw: readonly string[]): FieldLines {
  const lines: FieldLine[] = [];
  for (let i = 0; i < raw.length; i += 2) lines.push([raw[i]!.toLowerCase(), raw[i + 1]!]);
  return lines;
}
