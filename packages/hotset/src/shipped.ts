import { json, type Compressor, type Format } from "@hotset/core";
import { brotli, gzip } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";

/**
 * What backends of this package read, the format that they write first. Made for each backend: made here once, they
 * would be in every bundle of this package, one over memory alone too. Without `v8()`: bytes of a shared store are
 * decoded with it only on request.
 */
export const shipped = (): { readonly formats: readonly Format[]; readonly compressors: readonly Compressor[] } => ({
  formats: [msgpack(), json()],
  compressors: [gzip(), brotli(), zstd()],
});

interface Formats {
  readonly format?: Format | undefined;
  readonly alsoReads?: readonly (Format | Compressor)[] | undefined;
}

/** The options of a backend that writes `msgpack()` and reads all that is shipped, unless they say otherwise. */
export function withShipped<Options extends Formats>(options: Options): Options {
  const { formats, compressors } = shipped();
  return {
    ...options,
    format: options.format ?? formats[0],
    alsoReads: options.alsoReads ?? [...formats, ...compressors],
  };
}
