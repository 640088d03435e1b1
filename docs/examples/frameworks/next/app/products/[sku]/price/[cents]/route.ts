import { setPrice } from "../../../../../../products";
import { cache } from "../../../../../cache";

interface Context {
  readonly params: Promise<{ sku: string; cents: string }>;
}

export async function PUT(_request: Request, { params }: Context): Promise<Response> {
  const { sku, cents } = await params;
  await setPrice(sku, Number(cents));
  await cache.delete(`product:${sku}`); // the source first, then the cache
  return new Response(null, { status: 204 });
}
