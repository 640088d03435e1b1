import { EventEmitter, once } from "node:events";
import { Agent, request as send, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { brotliDecompress, gunzip, zstdDecompress } from "node:zlib";

/** The requests of a client to an application, step by step; the answers must not depend on the cache. */
export type Step = readonly [
  line: string,
  options?: { readonly headers?: OutgoingHttpHeaders; readonly body?: string },
];

const USER = {
  "user-agent": "Mozilla/5.0",
  accept: "text/html",
  "accept-encoding": "gzip",
  origin: "https://a.example",
};
const FORM = "--x\r\ncontent-disposition: form-data; name=file; filename=a.txt\r\n\r\nwhole\r\n--x--\r\n";

export const UNCHANGED: Step = ["GET /file.txt", { headers: { "if-modified-since": "Sat, 01 Jan 2000 00:00:00 GMT" } }];

export const STEPS: readonly Step[] = [
  ["GET /stored"],
  ["GET /stored"],
  ["GET /stored", { headers: { origin: "https://b.example" } }],
  ["HEAD /stored"],
  ["GET /own"],
  ["GET /own"],
  ["GET /plain"],
  ["POST /login", { body: "ann" }],
  ["GET /own", { headers: { "x-user": "ann" } }],
  ["GET /stored"],
  ["GET /large"],
  ["GET /stored-large"],
  ["GET /stored-large"],
  ["POST /upload", { headers: { "content-type": "multipart/form-data; boundary=x" }, body: FORM }],
  ["GET /error"],
  ["POST /error"],
  ["GET /late"],
  ["POST /late"],
  ["GET /stored-late"],
  ["GET /twice"],
  ["POST /twice"],
  ["GET /missing"],
  ["ABORT /endless"],
  ["GET /file.txt"],
  ["GET /file.txt"],
  ["GET /file.txt", { headers: { range: "bytes=2-4" } }],
  UNCHANGED,
  ["GET /via/stored"],
  ["GET /via/stored"],
  ["GET /via/own"],
  ["POST /via/echo", { body: "posted" }],
  ["GET /via/cut"],
  ["POST /logout"],
  ["GET /own"],
];

const arrivals = new EventEmitter();

/** Resolves when the client reads something of an answer, so that what is cut off then is not a matter of time. */
export const clientReads = async (): Promise<void> => {
  await Promise.race([once(arrivals, "data"), setTimeout(2_000)]);
};

/** The answers, each as a text: its status, its fields, and its body or how that ended. */
export async function walk(port: number, steps: readonly Step[]): Promise<readonly string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const cookies = new Map<string, string>();
  const answers: string[] = [];
  for (const step of steps) answers.push(`${step[0]}: ${await take(agent, port, cookies, step)}`);
  agent.destroy();
  return answers;
}

function take(agent: Agent, port: number, cookies: Map<string, string>, [line, options = {}]: Step): Promise<string> {
  const [method = "", path = ""] = line.split(" ");
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  const headers = { ...USER, ...(cookie !== "" && { cookie }), ...options.headers };
  return new Promise((resolve) => {
    const sent = { agent, host: "127.0.0.1", port, path, method: method === "ABORT" ? "GET" : method, headers };
    const request = send(sent, (response) => {
      for (const line of response.headers["set-cookie"] ?? []) {
        const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(line) ?? [];
        cookies.set(name, value);
      }
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        arrivals.emit("data");
        if (method === "ABORT") request.destroy();
      });
      let end = "";
      response.on("error", () => (end = " CUT OFF"));
      // A coder passes on as much as it has.
      const coded = response.headers["content-encoding"] !== undefined;
      const finish = async (): Promise<void> => {
        const body =
          method === "ABORT" || (end !== "" && coded) ? "(in part)" : await decoded(response, Buffer.concat(chunks));
        resolve(`${response.statusCode} ${response.statusMessage}\n${fieldsOf(response, method)}\n${body}${end}`);
      };
      response.on("close", () => void finish());
    });
    request.on("error", (error: Error & { code?: string }) => resolve(`NO ANSWER ${error.code}`));
    request.end(options.body);
  });
}

/** They belong to one message or one moment; the rest comes from the application. */
const APART: ReadonlySet<string> = new Set([
  ...["date", "age", "cache-status", "connection", "keep-alive", "transfer-encoding", "content-length", "expires"],
  ...["x-ratelimit-reset", "ratelimit-reset"],
]);

function fieldsOf({ rawHeaders }: IncomingMessage, method: string): string {
  const lines: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (APART.has(name)) continue;
    // Compressors leave a HEAD as it is; the cache answers it as the GET.
    if (method === "HEAD" && (name === "content-encoding" || name === "vary")) continue;
    const value = rawHeaders[i + 1]!;
    // Hono's middleware in front of the cache adds its member to the one of the load.
    if (name === "vary") lines.push(`${name}: ${[...new Set(value.split(/, */))].join(", ")}`);
    // Each session has another name.
    else lines.push(`${name}: ${value.replace(/(sid|sessionId)=[^;]*/, "$1=*").replace(/Expires=[^;]*/, "")}`);
  }
  return lines.toSorted().join("\n");
}

const DECODERS: Readonly<Record<string, (bytes: Buffer) => Promise<Buffer>>> = {
  gzip: promisify<Buffer, Buffer>(gunzip),
  br: promisify<Buffer, Buffer>(brotliDecompress),
  zstd: promisify<Buffer, Buffer>(zstdDecompress),
};

async function decoded({ headers }: IncomingMessage, bytes: Buffer): Promise<string> {
  const decode = DECODERS[headers["content-encoding"] ?? ""];
  const plain = decode === undefined || bytes.length === 0 ? bytes : await decode(bytes).catch(() => "UNREADABLE");
  const text = plain.toString();
  return text.length > 200 ? `${text.slice(0, 20)}... ${text.length} characters` : text;
}
