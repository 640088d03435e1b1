import { json, type Backend, type Seal } from "@hotset/core";
import { createClient } from "@redis/client";
import {
  cluster,
  fromClient,
  redis,
  RedisBackend,
  sentinel,
  single,
  type ClientConnection,
  type Connection,
} from "./index.ts";

const client: ClientConnection = fromClient(createClient());
const own: Connection = single(new URL("redis://localhost"));

export const backends: readonly Backend[] = [
  redis("redis://localhost").valueFormat(json()).username("u").build(),
  redis(own).valueFormat(json()).retries(3).keyPrefix("x").backoff({ max: "1s" }).build(),
  redis(client).valueFormat(json()).keyPrefix("x").build(),
  RedisBackend.builder().connection("redis://localhost").build(),
  redis(cluster(["redis://a"], { readFromReplicas: true })).build(),
  redis(sentinel(["redis://a"], { primaryName: "main" }))
    .password(async () => "p")
    .build(),
];

const seal: Seal = {
  id: "own",
  seal: async (bytes) => bytes,
  open: (bytes) => bytes,
  around: (backend) => backend,
};
redis("redis://a").seal(seal).layout("full");
redis(client).seal(seal);
// @ts-expect-error a format is not a seal
redis("redis://a").seal(json());
// @ts-expect-error a seal is not its key
redis("redis://a").seal("secret");
// @ts-expect-error a client of yours is connected already
redis(client).username("u");
// @ts-expect-error and keeps its own retries
redis(client).keyPrefix("x").retries(3);
// @ts-expect-error a client of the user has its own connection
RedisBackend.builder().connection(client);
// @ts-expect-error replicas are a matter of clusters
single("redis://a", { readFromReplicas: true });
// @ts-expect-error which primary?
sentinel(["redis://s"]);
// @ts-expect-error nodes are a list
cluster("redis://a");
// @ts-expect-error a client is wrapped with fromClient, which makes clear that the user closes it
redis(createClient());
// @ts-expect-error not a format for keys
redis("redis://a").keyFormat("json");
// @ts-expect-error a builder is not a backend yet
export const unbuilt: Backend = redis("redis://a");
redis({ host: "cache", port: 6380, username: "app", password: async () => "token", tls: true });
single({ host: "cache", tls: { ca: "PEM" } });
// @ts-expect-error which host?
redis({ port: 6379 });
// @ts-expect-error TLS is a part of the address
single({ host: "cache" }, { tls: {} });
// @ts-expect-error only connections of ours
export const forged: Connection = {};
