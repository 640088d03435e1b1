export { astroCache, type AstroCacheConfig, type AstroCacheProvider } from "./provider.ts";
