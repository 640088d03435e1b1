/**
 * A shop in Nest: products from a cache, carts in sessions, limited logins, and probes. Without Redis products are
 * served on, and what needs a session is answered by 503.
 */
import "reflect-metadata";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { health, type Readiness } from "@hotset/redis-toolkit/health";
import { expressRateLimit, rateLimit, slidingLog } from "@hotset/redis-toolkit/rate-limit";
import { SessionStore } from "@hotset/redis-toolkit/sessions/express-session";
import {
  type ArgumentsHost,
  Catch,
  Controller,
  Get,
  HttpCode,
  Inject,
  Injectable,
  type MiddlewareConsumer,
  Module,
  type NestModule,
  NotFoundException,
  type OnApplicationShutdown,
  Param,
  Post,
  Put,
  Req,
  Res,
  Session,
  UnauthorizedException,
} from "@nestjs/common";
import { BaseExceptionFilter, HttpAdapterHost, NestFactory } from "@nestjs/core";
import type { Request, Response } from "express";
import session from "express-session";
import { type Cache, createCache, memory, redis } from "hotset";
import { findProduct, hasPassword, type Product, setPrice } from "../products.ts";

declare module "express-session" {
  interface SessionData {
    user: string;
    cart: readonly string[];
  }
}

const url = process.env["REDIS_URL"] ?? "redis://localhost:6379";

/** The cache and the toolkit of this application; Nest closes them after the last request has been answered. */
@Injectable()
class Shop implements OnApplicationShutdown {
  readonly cache: Cache = createCache({ name: "shop" })
    .tier(memory())
    .tier(redis(url).build())
    .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h", negativeTtl: "10s", hardTimeout: "5s" })
    .build();
  readonly toolkit: Redis = createRedis({ url, commandTimeout: "1s" });

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.cache.close(), this.toolkit.disconnect()]);
  }
}

@Controller("products")
class Products {
  readonly #cache: Cache;

  constructor(@Inject(Shop) shop: Shop) {
    this.#cache = shop.cache;
  }

  @Get(":sku")
  async find(@Param("sku") sku: string, @Res({ passthrough: true }) response: Response): Promise<Product> {
    const product = await this.#cache.getOrSet(`product:${sku}`, ({ signal }) => findProduct(sku, signal), {
      onServed: ({ status, ageMs }) => {
        response.set("Cache-Status", status === "miss" ? "shop; fwd=miss" : "shop; hit");
        response.set("Age", String(Math.floor(ageMs / 1_000)));
      },
    });
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

interface Login {
  readonly name: string;
  readonly password: string;
}

@Controller()
class Visits {
  @Post("login")
  @HttpCode(204)
  async login(@Req() request: Request<object, unknown, Login | undefined>): Promise<void> {
    const { name, password }: Partial<Login> = request.body ?? {};
    if (!hasPassword(name, password)) throw new UnauthorizedException();
    const { cart = [] } = request.session;
    // A new id: one that another person has given to the visitor is worth nothing.
    await new Promise<void>((resolve, reject) => {
      request.session.regenerate((error: unknown) => (error ? reject(error) : resolve()));
    });
    Object.assign(request.session, { user: name, cart });
    await new Promise<void>((resolve, reject) => {
      request.session.save((error: unknown) => (error ? reject(error) : resolve()));
    });
  }

  @Get("cart")
  cart(@Session() { user = null, cart = [] }: Record<string, unknown>): object {
    return { user, cart };
  }

  @Put("cart/:sku")
  add(@Param("sku") sku: string, @Req() { session: visit }: Request): object {
    visit.cart = [...(visit.cart ?? []), sku];
    return { cart: visit.cart };
  }
}

@Controller()
class Probes {
  readonly #health: ReturnType<typeof health>;

  constructor(@Inject(Shop) shop: Shop) {
    this.#health = health(shop.toolkit);
  }

  @Get("live")
  live(): object {
    return this.#health.liveness();
  }

  @Get("ready")
  async ready(@Res({ passthrough: true }) response: Response): Promise<Readiness> {
    const report = await this.#health.readiness();
    response.status(report.status === "unready" ? 503 : 200);
    return report;
  }
}

/** Redis is away, or starts: trying again later may help. */
@Catch()
class Unavailable extends BaseExceptionFilter {
  override catch(error: { readonly retryable?: boolean }, host: ArgumentsHost): void {
    if (error.retryable !== true) return super.catch(error, host);
    host.switchToHttp().getResponse<Response>().set("Retry-After", "1").sendStatus(503);
  }
}

@Module({ controllers: [Products, Visits, Probes], providers: [Shop] })
class Application implements NestModule {
  readonly #toolkit: Redis;

  constructor(@Inject(Shop) shop: Shop) {
    this.#toolkit = shop.toolkit;
  }

  configure(consumer: MiddlewareConsumer): void {
    const logins = rateLimit(this.#toolkit, {
      name: "logins",
      deadline: "1s",
      rules: [slidingLog({ limit: 5, window: "1m" })],
    });
    const limited = expressRateLimit(logins, { key: ({ body }: Request<object, unknown, Login>) => `${body?.name}` });
    const store = new SessionStore(this.#toolkit, { userOf: ({ user }) => user });
    const secret = process.env["SESSION_SECRET"] ?? "keep it in your vault";
    const cookie = { secure: "auto", sameSite: "lax" } as const;
    consumer.apply(limited).forRoutes("login");
    // Only where it is needed, so that products do not wait for it.
    consumer
      .apply(session({ store, secret, cookie, resave: false, saveUninitialized: false }))
      .forRoutes("login", "cart", "cart/*sku");
  }
}

const app = await NestFactory.create(Application, { logger: ["error", "warn"] });
app.useGlobalFilters(new Unavailable(app.get(HttpAdapterHost).httpAdapter));
app.enableShutdownHooks(["SIGTERM"]);
await app.listen(Number(process.env["PORT"] ?? 3000));
