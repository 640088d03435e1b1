/** node:crypto on first use: loading it takes as long as importing all of this package. */
export const crypto = (): typeof import("node:crypto") => (loaded ??= process.getBuiltinModule("node:crypto"));
let loaded: typeof import("node:crypto") | undefined;
