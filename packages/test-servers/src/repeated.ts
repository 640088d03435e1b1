/** Values of as many equal nodes as fit into some bytes, in the layout of each format. */

/** Text that begins with `[`, repeats `node`, and is valid. */
export const jsonOf = (node: string, bytes: number): Buffer =>
  Buffer.from(`[${`${node},`.repeat(Math.floor(bytes / (node.length + 1)) - 1)}0]`);

/** MessagePack: an array of as many nodes as fit. */
export const packed = (node: Buffer, bytes: number): Buffer => {
  const count = Math.floor(bytes / node.length) - 5;
  const head = Buffer.from([0xdd, 0, 0, 0, 0]);
  head.writeUInt32BE(count, 1);
  return Buffer.concat([head, Buffer.alloc(count * node.length, node)]);
};

/** v8: nodes between the marks of a Set, which needs no count but one at the end. */
export const cloned = (node: string, bytes: number, padding = 0): Buffer => {
  const one = Buffer.from(node, "hex");
  const count = Math.floor(bytes / one.length);
  const parts = [[0xff, 0x0f], Buffer.alloc(padding), "'", Buffer.alloc(count * one.length, one), ",", varint(count)];
  return Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)));
};

const varint = (number: number): Buffer => {
  const bytes: number[] = [];
  for (; number > 0x7f; number = Math.floor(number / 0x80)) bytes.push((number & 0x7f) | 0x80);
  return Buffer.from([...bytes, number]);
};
