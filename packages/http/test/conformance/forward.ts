import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Dispatcher } from "undici";

/** Asks the origin by undici, and passes its interim answers on. */
export function forward(
  dispatcher: Dispatcher,
  origin: string,
  request: IncomingMessage,
  headers: IncomingHttpHeaders,
  response: ServerResponse,
): Promise<Dispatcher.ResponseData> {
  const { method = "GET", url = "/" } = request;
  const hasBody = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
  const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_CONNECTION.has(name)));
  const options = { origin, path: url, method, headers: sent };
  const onInfo: Dispatcher.RequestOptions["onInfo"] = ({ statusCode, headers: info }) =>
    writeInformation(response, statusCode, Object.entries(info) as [string, string][]);
  return dispatcher.request({ ...options, body: hasBody ? request : null, onInfo });
}

export function begin(
  response: ServerResponse,
  status: number,
  statusText: string,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): void {
  response.sendDate = false;
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !OF_CONNECTION.has(name)) response.setHeader(name, value);
  if (statusText === "") response.writeHead(status);
  else response.writeHead(status, statusText);
}

/** Fields of one connection are not passed on. */
const OF_CONNECTION: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "host",
  "te",
  "upgrade",
]);

export function writeInformation(
  response: ServerResponse,
  status: number,
  fields: readonly (readonly [string, string])[],
): void {
  if (status === 102) response.writeProcessing();
  else
    (response as unknown as { _writeRaw(text: string, encoding: string): void })._writeRaw(
      `HTTP/1.1 ${status} Early Hints\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
      "latin1",
    );
}
