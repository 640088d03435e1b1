import { buildClient } from "./build-client.ts";

/** The files of the page. The build puts their text in the place of this module: see `build-client.ts`. */
export interface Assets {
  readonly script: string;
  readonly style: string;
}

let built: Promise<Assets> | undefined;

export const assets = (): Promise<Assets> => (built ??= buildClient());
