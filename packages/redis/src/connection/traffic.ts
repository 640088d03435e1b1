import type { Socket } from "node:net";

/** Bytes on the wire of one link and of the sockets next to it, those that are closed included; TLS is in them. */
export class Traffic {
  /** Only those that are open now. */
  readonly #sockets = new Set<Socket>();
  #received = 0;
  #sent = 0;

  add(socket: Socket | undefined): void {
    if (socket === undefined || this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#received += socket.bytesRead;
      this.#sent += socket.bytesWritten;
    });
  }

  get received(): number {
    return [...this.#sockets].reduce((sum, { bytesRead }) => sum + bytesRead, this.#received);
  }

  get sent(): number {
    return [...this.#sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, this.#sent);
  }
}
