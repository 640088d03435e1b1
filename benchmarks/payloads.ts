/** Values as caches hold them, made the same each time: a user, a page of a product, a page of search results. */
export interface Payload {
  readonly name: string;
  readonly value: unknown;
}

const WORDS =
  "copper kettle wooden chair linen shirt blue green small large with handle for kitchen garden office light heavy classic modern set of two".split(
    " ",
  );

export function payloads(): readonly Payload[] {
  let state = 42;
  const below = (bound: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state % bound;
  };
  const word = (): string => WORDS[below(WORDS.length)]!;
  const text = (length: number): string => Array.from({ length }, word).join(" ").slice(0, length);
  const hex = (length: number): string => Array.from({ length }, () => below(16).toString(16)).join("");
  const product = (i: number) => ({
    id: 100_000 + i,
    sku: hex(10),
    title: text(40),
    price: below(100_000) / 100,
    currency: "EUR",
    inStock: below(10) > 2,
    rating: below(50) / 10,
    reviews: below(4_000),
    tags: [word(), word()],
    image: `https://img.example.org/p/${hex(8)}.jpg`,
    updatedAt: new Date(1_700_000_000_000 + below(1_000_000_000)).toISOString(),
  });

  return [
    {
      name: "user",
      value: {
        id: 48_213,
        name: "Ada Lovelace",
        email: "ada@example.org",
        roles: ["admin", "editor"],
        active: true,
        createdAt: "2024-03-01T09:30:00.000Z",
        settings: { theme: "dark", locale: "en-GB", pageSize: 50 },
        loginCount: 1_234,
        score: 0.87,
      },
    },
    {
      name: "product",
      value: {
        ...product(1),
        description: text(1_100),
        attributes: Object.fromEntries(WORDS.slice(0, 12).map((name) => [name, text(15)])),
        related: [1, 2, 3, 4].map((id) => ({ id, title: text(20) })),
      },
    },
    {
      name: "results",
      value: {
        query: "copper kettle",
        total: 1_834,
        page: 1,
        items: Array.from({ length: 190 }, (_, i) => product(i)),
      },
    },
  ];
}

/** Plain data of about `bytes` bytes, like rows of a database. */
export function record(bytes: number): object {
  const row = (i: number): object => ({
    id: i,
    name: `user ${i}`,
    email: `user${i}@example.org`,
    role: "guest",
    active: true,
    score: i / 7,
  });
  if (bytes < 500) return { ...row(7), bio: "x".repeat(Math.max(0, bytes - 110)) };
  return { rows: Array.from({ length: Math.round(bytes / 100) }, (_, i) => row(i)) };
}
