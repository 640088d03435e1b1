import { passthrough, type Compressor, type Format } from "@hotset/core";

/** Formats and compressors of a backend for which none are configured. */
export interface Shipped {
  /** All are read until `valueFormat` is called; the first writes. */
  readonly formats: readonly Format[];
  /** All are read until `compressor` is called; none writes. */
  readonly compressors: readonly Compressor[];
}

export const NOTHING_SHIPPED: Shipped = Object.freeze({ formats: [], compressors: [] });

/**
 * The formats and compressors that a backend writes and reads. A setting ends the shipped ones: an entry that claims
 * another is not believed.
 */
export function codecs(
  shipped: Shipped,
  settings: {
    readonly valueFormat: Format | undefined;
    readonly compressor: Compressor | undefined;
    readonly alsoReads: readonly (Format | Compressor)[];
  },
): {
  readonly format: Format | undefined;
  readonly compressor: Compressor;
  readonly alsoReads: readonly (Format | Compressor)[];
} {
  const formats = settings.valueFormat === undefined ? shipped.formats : [settings.valueFormat];
  const compressors = settings.compressor === undefined ? shipped.compressors : [];
  return {
    format: formats[0],
    compressor: settings.compressor ?? passthrough(),
    alsoReads: [...formats.slice(1), ...compressors, ...settings.alsoReads],
  };
}
