import * as pack from "msgpackr/pack";

/** The used part of msgpackr, whose own types are not installed with this package. */
interface Msgpackr {
  /** The byte c1, which MessagePack never uses. */
  readonly C1: object;
  readonly RESET_BUFFER_MODE: number;
  readonly Packr: new (options: Readonly<Record<string, boolean>>) => Packr;
}

export interface Packr {
  pack(value: unknown, mode: number): Buffer;
  useBuffer(buffer: Uint8Array): void;
}

/**
 * msgpackr without its native part: on Node "msgpackr/pack" is all of its JavaScript, more than its types say. The
 * build puts what is named here into the package (decision 0071).
 */
export const msgpackr: Msgpackr = {
  C1: (pack as unknown as Msgpackr).C1,
  RESET_BUFFER_MODE: (pack as unknown as Msgpackr).RESET_BUFFER_MODE,
  Packr: (pack as unknown as Msgpackr).Packr,
};
