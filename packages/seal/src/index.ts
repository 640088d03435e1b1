export { aesGcm } from "./aes-gcm.ts";
export { hmac } from "./hmac.ts";
export type { SealKey, SealOptions } from "./key-ring.ts";
export { sealed, type SealedOptions } from "./sealed.ts";
