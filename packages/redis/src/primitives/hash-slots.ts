/** How many slots a cluster divides its keys into. */
export const SLOT_COUNT = 16_384;

/** CRC-16/XMODEM, by byte. */
const CRC: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/**
 * The slot of a key: that of its hash tag, if it has one.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model
 */
export function slotOf(key: string | Buffer): number {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  return (typeof hashed === "string" ? crcOfText(hashed) : crcOfBytes(hashed)) % SLOT_COUNT;
}

/** Nearly all keys are ASCII: their bytes are their characters. */
function crcOfText(text: string): number {
  let crc = 0;
  for (let i = 0; i < text.length; i += 1) {
    const character = text.charCodeAt(i);
    if (character > 0x7f) return crcOfBytes(Buffer.from(text));
    crc = ((crc << 8) ^ CRC[(crc >> 8) ^ character]!) & 0xffff;
  }
  return crc;
}

function crcOfBytes(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) ^ CRC[(crc >> 8) ^ byte]!) & 0xffff;
  return crc;
}

/**
 * Whether Redis Cluster hashes only a part of `key`.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
 */
export function hasHashTag(key: string): boolean {
  const open = key.indexOf("{");
  return open >= 0 && key.indexOf("}", open + 1) > open + 1;
}

export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

export interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly primary: NodeAddress;
  readonly replicas: readonly NodeAddress[];
}

/**
 * The reply to CLUSTER SLOTS.
 *
 * @param replier the node that replied: one that does not know its own name leaves it empty.
 * @throws {Error} for anything else, such as the reply of a server outside a cluster, and for a reply without slots: an
 *   empty slot map would make the client subscribe to no node.
 */
export function parseSlots(reply: unknown, replier: NodeAddress): readonly SlotRange[] {
  if (!Array.isArray(reply)) throw new TypeError("the reply to CLUSTER SLOTS must be a list");
  if (reply.length === 0) throw new Error("this node has no slots: it has not joined a cluster yet");
  const node = ([host, port]: readonly [Buffer | string | null, number]): NodeAddress => ({
    host: hostOf(host === null ? "" : host.toString(), replier),
    port,
  });
  return reply.map(([from, to, primary, ...replicas]) => ({
    from,
    to,
    primary: node(primary),
    replicas: replicas.map(node),
  }));
}

/** `MOVED 3999 127.0.0.1:6381`, or `ASK`: where a key is, or is being moved to. */
export function parseRedirection(
  message: string,
  replier: NodeAddress,
): (NodeAddress & { readonly kind: "MOVED" | "ASK"; readonly slot: number }) | undefined {
  const match = /^(MOVED|ASK) (\d+) (.*):(\d+)$/.exec(message);
  if (match === null) return undefined;
  return {
    kind: match[1] as "MOVED" | "ASK",
    slot: Number(match[2]),
    host: hostOf(match[3]!, replier),
    port: Number(match[4]),
  };
}

/**
 * A node that does not know its own host leaves it empty. One that is to name hosts, and has no name for one, writes
 * `?`.
 *
 * @see https://redis.io/docs/latest/commands/cluster-slots/ "preferred endpoint"
 */
const hostOf = (name: string, replier: NodeAddress): string => (name === "" || name === "?" ? replier.host : name);
