/** The bytes of a body that is sent in chunks (RFC 9112, section 7.1), as Node writes them: without extensions. */
export class ChunkedBytes {
  /** The line with the size of a chunk, as far as it has come. */
  #line = "";
  /** Bytes of the present chunk that have not come. */
  #left = 0;
  /** What ends the present chunk: its two bytes are not of the body. */
  #skips = 0;
  #hasEnded = false;

  /** The parts of the body in these bytes, which begin where the last ones ended. Trailers are dropped. */
  *read(bytes: Buffer): Generator<Buffer, void> {
    let at = 0;
    while (at < bytes.length && !this.#hasEnded) {
      if (this.#skips > 0) {
        const skipped = Math.min(this.#skips, bytes.length - at);
        this.#skips -= skipped;
        at += skipped;
      } else if (this.#left > 0) {
        const part = bytes.subarray(at, at + this.#left);
        at += part.length;
        this.#left -= part.length;
        if (this.#left === 0) this.#skips = CRLF.length;
        yield part;
      } else at = this.#readSize(bytes, at);
    }
  }

  #readSize(bytes: Buffer, from: number): number {
    const end = bytes.indexOf("\n", from);
    this.#line += bytes.toString("latin1", from, end < 0 ? bytes.length : end);
    if (end < 0) return bytes.length;
    const size = this.#line.trim();
    this.#line = "";
    if (!SIZE.test(size)) throw new Error("the body is not in chunks, although Transfer-Encoding says so");
    this.#left = Number.parseInt(size, 16);
    this.#hasEnded = this.#left === 0;
    return end + 1;
  }
}

const CRLF = "\r\n";
const SIZE = /^[0-9a-f]{1,12}$/i;
