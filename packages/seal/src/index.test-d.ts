import { createSecretKey } from "node:crypto";
import type { Seal } from "@hotset/core";
import { aesGcm, hmac, type SealKey } from "./index.ts";

const key = new Uint8Array(32);
const keys: readonly SealKey[] = [
  { id: "bytes", key },
  { id: "object", key: createSecretKey(key) },
  { id: "text", key: "base64" },
];
export const seals: readonly Seal[] = [aesGcm({ keys }), hmac({ keys })];

// @ts-expect-error keys must be given
aesGcm({});
// @ts-expect-error a key has an id
hmac({ keys: [{ key }] });
// @ts-expect-error a key is a list of keys
aesGcm({ keys: key });
// @ts-expect-error an unknown option
hmac({ keys, algorithm: "sha1" });
