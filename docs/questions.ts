// What users ask, in the words that they type. docs/reader.test.ts searches each on the pages, and
// docs/site.integration.test.ts on the built site.

import type { Question } from "./.vitepress/reader.ts";

const ask = (words: string, page: string, answer: RegExp): Question => ({ words, page, answer });

export const QUESTIONS: readonly Question[] = [
  // The first hour
  ask("install", "/guide/getting-started", /npm install hotset/),
  ask("typescript moduleResolution", "/guide/getting-started", /nodenext/),
  ask("node version", "/guide/faq", /Node 22\.15\+/),
  ask("nothing is cached", "/guide/faq", /returns `undefined`/),
  ask("memoize a function", "/guide/getting-started", /cache\.wrap\(/),
  ask("cache null", "/guide/recipes", /`null` is cached for `negativeTtl`/),
  ask("script does not end", "/guide/faq", /cache\.close\(\)/),
  ask("class instance methods gone", "/guide/faq", /without the prototype/),
  // Words people type
  ask("stampede", "/guide/getting-started", /stampede/),
  ask("thundering herd", "/guide/getting-started", /thundering herd/),
  ask("dogpile", "/guide/getting-started", /dogpile/),
  ask("SWR", "/guide/freshness", /staleWhileRevalidate/),
  ask("stale-while-revalidate", "/guide/freshness", /staleWhileRevalidate/),
  ask("delete by pattern", "/guide/faq", /invalidateTags\("org:7"\)/),
  ask("cron", "/guide/recipes", /must run once/),
  ask("http response", "/guide/recipes", /make a new one for each caller/),
  ask("vary", "/guide/http", /Vary/),
  ask("cache-control", "/guide/http", /Cache-Control/i),
  ask("etag", "/guide/loaders", /if-none-match/),
  ask("set-cookie private", "/guide/loaders", /notShared/),
  ask("lease", "/guide/terms", /permission, kept in the backend/),
  ask("fenced", "/guide/terms", /isn't stored/),
  ask("backplane", "/guide/cross-process-coherence", /receives a message for every change/),
  ask("sliding expiration", "/guide/freshness", /`touch` restarts the `ttl`/),
  // Freshness and invalidation
  ask("old value when the database is down", "/guide/failure", /staleIfError/),
  ask("403 must reach the caller", "/guide/loaders", /coversError/),
  ask("invalidate many keys", "/guide/freshness", /ten entries and for ten million/),
  ask("read your own write", "/guide/freshness", /`current: true`/),
  ask("outbox transaction", "/guide/recipes", /in the\s+transaction of the change/),
  ask("cache a class method", "/guide/recipes", /wrap it in the constructor/),
  ask("LOAD_TIMEOUT", "/reference/errors", /`hardTimeout` or `loadTimeout` passed/),
  ask("page made of other cached values", "/guide/recipes", /inherit: true/),
  ask("tags in a batch", "/guide/recipes", /function of the item and its value/),
  ask("timeout of a loader", "/guide/loaders", /`loadTimeout` is 30 s/),
  ask("cache per user", "/guide/recipes", /Put the user into the key/),
  ask("tenants", "/guide/recipes", /namespace\("tenant"\)/),
  ask("values change shape", "/guide/keys-and-namespaces", /Raise it when values change shape/),
  // Failures and processes
  ask("redis down", "/guide/failure", /No call fails because of Redis/),
  ask("pending", "/guide/failure", /remembers an invalidation/),
  ask("how long can a value be wrong", "/guide/what-is-promised", /maxStaleness/),
  ask("circuit breaker", "/reference/failure-by-fault", /5 failures in a row/),
  ask("failover lost writes", "/guide/what-is-promised", /Redis loses acknowledged writes/),
  ask("loaded again why", "/guide/failure", /explain: 1_000/),
  // Redis and production
  ask("cluster", "/guide/redis", /cluster\(\["redis:/),
  ask("sentinel", "/guide/redis", /primaryName/),
  ask("TLS certificate", "/guide/redis", /pins/),
  ask("acl permissions", "/guide/redis", /\+evalsha/),
  ask("eviction policy", "/guide/running-redis", /allkeys-lfu/),
  ask("elasticache", "/guide/managed-redis", /ElastiCache/),
  ask("graceful shutdown", "/guide/frameworks", /Close the server/),
  ask("lambda", "/guide/serverless", /cache\.drain\(\)/),
  ask("prometheus", "/guide/metrics", /@hotset\/prometheus/),
  ask("mutated cached object", "/guide/faq", /the change throws/),
  ask("encrypt values", "/guide/sealing", /aesGcm/),
  ask("fake timers", "/guide/testing", /useFakeTimers/),
  ask("change serializer without flush", "/guide/swapping-formats", /alsoReads\(next\)/),
  ask("performance", "/performance", /a hit in memory/),
  // The toolkit and migrating
  ask("distributed lock", "/guide/toolkit-locks", /lock\.using/),
  ask("rate limit express", "/guide/toolkit-limits", /expressRateLimit/),
  ask("job queue retry", "/guide/toolkit-queue", /attempts/),
  ask("migrate from bentocache", "/migrating/bentocache", /grace/),
  ask("write a custom store", "/guide/writing-a-backend", /four methods/),
];
