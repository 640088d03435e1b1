import { Buffer } from "./buffer.ts";

/** The type of blobs in RESP. */
const BLOB_STRING = 36;

/** A reply whose blobs came as bytes: as text where the type mapping of node-redis says so. */
export function textReply(reply: unknown, typeMapping: object | undefined): unknown {
  const isText = (typeMapping as Readonly<Record<number, unknown>> | undefined)?.[BLOB_STRING] === String;
  return isText ? asText(reply) : reply;
}

function asText(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString();
  return Array.isArray(reply) ? reply.map(asText) : reply;
}
