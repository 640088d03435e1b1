import { findProduct } from "../../../../products";
import { cache } from "../../../cache";

export async function GET(_request: Request, { params }: { params: Promise<{ sku: string }> }): Promise<Response> {
  const { sku } = await params;
  const headers = new Headers();
  const product = await cache.getOrSet(`product:${sku}`, ({ signal }) => findProduct(sku, signal), {
    onServed: ({ status, ageMs }) => {
      headers.set("Cache-Status", status === "miss" ? "shop; fwd=miss" : "shop; hit");
      headers.set("Age", String(Math.floor(ageMs / 1_000)));
    },
  });
  return product === null ? new Response(null, { status: 404, headers }) : Response.json(product, { headers });
}
