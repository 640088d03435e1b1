import "reflect-metadata";
import {
  Controller,
  Get,
  HttpCode,
  Inject,
  Injectable,
  Module,
  NotFoundException,
  type OnApplicationShutdown,
  Param,
  Put,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { type Cache, createCache, memory, redis } from "hotset";
import { findProduct, type Product, setPrice } from "../products.ts";

/** The cache of this application; Nest closes it after the last request has been answered. */
@Injectable()
class ShopCache implements OnApplicationShutdown {
  readonly cache: Cache = createCache({ name: "shop" })
    .tier(memory())
    .tier(redis(process.env["REDIS_URL"] ?? "redis://localhost:6379").build())
    .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h", negativeTtl: "10s", hardTimeout: "5s" })
    .build();

  async onApplicationShutdown(): Promise<void> {
    await this.cache.close();
  }
}

@Controller("products")
class Products {
  readonly #cache: Cache;

  constructor(@Inject(ShopCache) shop: ShopCache) {
    this.#cache = shop.cache;
  }

  @Get(":sku")
  async find(@Param("sku") sku: string): Promise<Product> {
    const product = await this.#cache.getOrSet(`product:${sku}`, ({ signal }) => findProduct(sku, signal));
    if (product === null) throw new NotFoundException();
    return product;
  }

  @Put(":sku/price/:cents")
  @HttpCode(204)
  async setPrice(@Param("sku") sku: string, @Param("cents") cents: string): Promise<void> {
    await setPrice(sku, Number(cents));
    await this.#cache.delete(`product:${sku}`); // the source first, then the cache
  }
}

@Module({ controllers: [Products], providers: [ShopCache] })
class Application {}

const app = await NestFactory.create(Application, { logger: ["error", "warn"] });
app.enableShutdownHooks(["SIGTERM"]);
await app.listen(Number(process.env["PORT"] ?? 3000));
