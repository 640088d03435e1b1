import { Inject } from "@nestjs/common";

/** The token of the cache, or of the namespace that `HotsetModule.forFeature({ namespace })` provides. */
export const getCacheToken = (namespace?: string): string =>
  namespace === undefined ? "hotset:cache" : `hotset:cache:${namespace}`;

/** Injects the cache, or the namespace of that name: `constructor(@InjectCache("products") products: Namespace)`. */
export const InjectCache = (namespace?: string): ParameterDecorator & PropertyDecorator =>
  Inject(getCacheToken(namespace));
