import { call, expectReply } from '../kit/call.ts';
import { textField, wholeField } from '../kit/fields.ts';
import { Refusal } from '../kit/refusal.ts';
import { json, runService, type Answer, type Request } from '../kit/service.ts';
import { openStore } from '../kit/store.ts';

type Line = { product: string; quantity: number };

const MAX_LINES = 50;
const MAX_QUANTITY = 20;

const store = openStore(
  'cart',
  `CREATE TABLE IF NOT EXISTS lines (
     user TEXT NOT NULL, product TEXT NOT NULL, quantity INTEGER NOT NULL, PRIMARY KEY (user, product)
   ) STRICT`,
);
const linesOf = store.prepare('SELECT product, quantity FROM lines WHERE user = ? ORDER BY rowid');
const put = store.prepare(
  'INSERT INTO lines (user, product, quantity) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET quantity = excluded.quantity',
);
const remove = store.prepare('DELETE FROM lines WHERE user = ? AND product = ?');
const clear = store.prepare('DELETE FROM lines WHERE user = ?');

runService({
  name: 'cart',
  routes: {
    // For the signed-in user, who is in the header that only the gateway sets.
    'GET /cart': request => showCart(request.user(), request),
    'POST /cart/items': addItem,
    'PUT /cart/items/:product': setItem,
    'DELETE /cart/items/:product': async request => {
      remove.run(request.user(), request.params['product'] ?? '');
      return await showCart(request.user(), request);
    },
    // For checkout alone: the model lets nobody else come here.
    'GET /carts/:user': ({ params }) => json(200, { lines: readLines(params['user'] ?? '') }),
    'DELETE /carts/:user': ({ params }) => {
      clear.run(params['user'] ?? '');
      return { status: 204 };
    },
  },
  close: () => store.close(),
});

async function addItem(request: Request): Promise<Answer> {
  const user = request.user();
  const fields = await request.json();
  const product = textField(fields, 'product', 40);
  const quantity = wholeField(fields, 'quantity', { min: 1, max: MAX_QUANTITY });
  await requireProduct(product, request);
  const lines = readLines(user);
  const there = lines.find(line => line.product === product);
  if (there === undefined && lines.length >= MAX_LINES)
    throw new Refusal(409, 'cart-full', 'the cart is full');
  put.run(user, product, Math.min(MAX_QUANTITY, (there?.quantity ?? 0) + quantity));
  return { ...(await showCart(user, request)), status: 201 };
}

async function setItem(request: Request): Promise<Answer> {
  const user = request.user();
  const product = request.params['product'] ?? '';
  const quantity = wholeField(await request.json(), 'quantity', { min: 1, max: MAX_QUANTITY });
  if (!readLines(user).some(line => line.product === product)) {
    throw new Refusal(404, 'not-in-cart', 'that is not in the cart');
  }
  put.run(user, product, quantity);
  return await showCart(user, request);
}

async function showCart(user: string, request: Request): Promise<Answer> {
  const lines = await Promise.all(
    readLines(user).map(async ({ product, quantity }) => {
      const reply = await call(
        'catalog',
        { method: 'GET', path: `/products/${encodeURIComponent(product)}` },
        request,
      );
      const { name, cents } = expectReply(reply, 'catalog', 200);
      return { product, name: String(name), cents: Number(cents), quantity };
    }),
  );
  return json(200, { lines, cents: lines.reduce((sum, { cents, quantity }) => sum + cents * quantity, 0) });
}

async function requireProduct(product: string, request: Request): Promise<void> {
  // Ids of products are plain words; anything else would be a path of its own at the catalogue.
  const isId = /^[a-z0-9-]+$/.test(product);
  const reply = isId
    ? await call('catalog', { method: 'GET', path: `/products/${product}` }, request)
    : undefined;
  if (reply === undefined || reply.status === 404)
    throw new Refusal(404, 'no-such-product', 'the shop has no such product');
  expectReply(reply, 'catalog', 200);
}

function readLines(user: string): Line[] {
  return linesOf
    .all(user)
    .map(({ product, quantity }) => ({ product: String(product), quantity: Number(quantity) }));
}
