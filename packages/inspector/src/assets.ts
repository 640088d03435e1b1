/** The files of the page. The build puts their text in the place of this module: see `build-client.ts`. */
export interface Assets {
  readonly script: string;
  readonly style: string;
}

let built: Promise<Assets> | undefined;

/** Made when they are asked for first, which takes a moment. */
export const assets = (): Promise<Assets> => (built ??= build());

async function build(): Promise<Assets> {
  const { buildClient } = await import("./build-client.ts");
  return buildClient();
}
