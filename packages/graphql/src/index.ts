export {
  graphqlCache,
  type GraphQLCache,
  type GraphQLCacheOptions,
  type GraphQLEntity,
  type GraphQLResult,
} from "./cache.ts";
