import { connect } from "node:net";
import { parentPort } from "node:worker_threads";

export interface Asked {
  readonly path: string;
  /** @default GET */
  readonly method?: string;
  /** Whether each request has a URL of its own. */
  readonly isNew?: boolean;
}

export interface Order extends Asked {
  readonly port: number;
  readonly requests: number;
}

let count = 0;

/** Sends the requests of a browser over one connection, one after the other. */
parentPort!.on("message", ({ port, path, method = "GET", isNew = false, requests }: Order) => {
  const fields = `host: localhost\r\nuser-agent: Mozilla/5.0\r\naccept: text/html\r\naccept-encoding: gzip\r\naccept-language: de\r\ncookie: sid=1\r\n`;
  const length = method === "GET" ? "" : "content-length: 0\r\n";
  const next = (): string => {
    count += 1;
    return `${method} ${path}${isNew ? `/${count}` : ""} HTTP/1.1\r\n${fields}${length}\r\n`;
  };
  let left = requests;
  let received = "";
  const socket = connect(port, "127.0.0.1", () => socket.write(next()));
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    if (!isWhole(received)) return;
    received = "";
    if (--left > 0) socket.write(next());
    else socket.end();
  });
  socket.once("close", () => parentPort!.postMessage("done"));
});

function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1];
  return length === undefined ? text.endsWith("0\r\n\r\n") : text.length >= end + 4 + Number(length);
}
