export { astroCache, type AstroCacheConfig, type AstroCacheProvider, type AstroRequest } from "./provider.ts";
