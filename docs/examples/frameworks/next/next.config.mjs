import { fileURLToPath } from "node:url";

/** @type {import("next").NextConfig} */
export default {
  // The top of this repository. An application of its own needs no such line.
  turbopack: { root: fileURLToPath(new URL("../../../..", import.meta.url)) },
};
