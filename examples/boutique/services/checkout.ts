import { randomUUID } from 'node:crypto';
import { call, expectReply } from '../kit/call.ts';
import { textField } from '../kit/fields.ts';
import { money } from '../kit/html.ts';
import { Refusal } from '../kit/refusal.ts';
import { json, runService, type Answer, type Request } from '../kit/service.ts';
import { openStore } from '../kit/store.ts';

type OrderLine = { product: string; name: string; cents: number; quantity: number };
type Order = {
  id: string;
  lines: OrderLine[];
  shippingCents: number;
  cents: number;
  last4: string;
  tracking: string;
  days: number;
};

const store = openStore(
  'checkout',
  'CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, user TEXT NOT NULL, placedAt TEXT NOT NULL, json TEXT NOT NULL) STRICT',
);
const insert = store.prepare('INSERT INTO orders (id, user, placedAt, json) VALUES (?, ?, ?, ?)');
const one = store.prepare('SELECT json FROM orders WHERE id = ? AND user = ?');
const latest = store.prepare('SELECT json FROM orders WHERE user = ? ORDER BY placedAt DESC LIMIT 20');

runService({
  name: 'checkout',
  routes: {
    'POST /orders': placeOrder,
    'GET /orders': request =>
      json(200, { orders: latest.all(request.user()).map(row => JSON.parse(String(row['json']))) }),
    'GET /orders/:id': request => {
      // Somebody else's order is no order at all.
      const row = one.get(request.params['id'] ?? '', request.user());
      if (row === undefined) throw new Refusal(404, 'no-such-order', 'there is no such order');
      return json(200, JSON.parse(String(row['json'])));
    },
  },
  close: () => store.close(),
});

async function placeOrder(request: Request): Promise<Answer> {
  const user = request.user();
  const fields = await request.json();
  const recipient = textField(fields, 'recipient', 100);
  const address = textField(fields, 'address', 300);
  const card = textField(fields, 'card', 30);

  const id = randomUUID();
  const lines = await priceCart(user, request);
  const { cents: shippingCents } = await quoteShipping(lines, request);
  const cents = lines.reduce((sum, line) => sum + line.cents * line.quantity, shippingCents);
  const charge = await chargeCard({ order: id, cents, card }, request);
  const shipment = await ship({ order: id, recipient, address }, charge.id, request);
  const order: Order = { id, lines, shippingCents, cents, last4: charge.last4, ...shipment };
  insert.run(id, user, new Date().toISOString(), JSON.stringify(order));

  const cleared = await call(
    'cart',
    { method: 'DELETE', path: `/carts/${encodeURIComponent(user)}` },
    request,
  );
  expectReply(cleared, 'cart', 204);
  await confirmByMail(user, order, request);
  return json(201, order);
}

/** Prices come from the catalogue, never from the customer. */
async function priceCart(user: string, request: Request): Promise<OrderLine[]> {
  const reply = await call('cart', { method: 'GET', path: `/carts/${encodeURIComponent(user)}` }, request);
  const lines = expectReply(reply, 'cart', 200)['lines'] as { product: string; quantity: number }[];
  if (lines.length === 0) throw new Refusal(409, 'cart-empty', 'the cart is empty');
  return await Promise.all(
    lines.map(async ({ product, quantity }) => {
      const path = `/products/${encodeURIComponent(product)}`;
      const { name, cents } = expectReply(
        await call('catalog', { method: 'GET', path }, request),
        'catalog',
        200,
      );
      return { product, name: String(name), cents: Number(cents), quantity };
    }),
  );
}

async function quoteShipping(lines: readonly OrderLine[], request: Request): Promise<{ cents: number }> {
  const pieces = lines.reduce((sum, { quantity }) => sum + quantity, 0);
  const reply = await call('shipping', { method: 'POST', path: '/quotes', json: { pieces } }, request);
  return { cents: Number(expectReply(reply, 'shipping', 200)['cents']) };
}

async function chargeCard(
  charge: { order: string; cents: number; card: string },
  request: Request,
): Promise<{ id: string; last4: string }> {
  const reply = await call('payment', { method: 'POST', path: '/charges', json: charge }, request);
  if (reply.status === 402) throw new Refusal(402, 'card-declined', 'the card was declined');
  if (reply.status === 400) throw new Refusal(400, 'bad-card', 'that is not the number of a card');
  const { id, last4 } = expectReply(reply, 'payment', 200, 201);
  return { id: String(id), last4: String(last4) };
}

/** What cannot be shipped is not paid for. */
async function ship(
  shipment: { order: string; recipient: string; address: string },
  chargeId: string,
  request: Request,
): Promise<{ tracking: string; days: number }> {
  try {
    const reply = await call('shipping', { method: 'POST', path: '/shipments', json: shipment }, request);
    const { tracking, days } = expectReply(reply, 'shipping', 200, 201);
    return { tracking: String(tracking), days: Number(days) };
  } catch (error) {
    await call('payment', { method: 'POST', path: `/charges/${chargeId}/refund` }, request);
    throw error;
  }
}

/** The order stands, whether or not the mail goes out. */
async function confirmByMail(user: string, { id, cents, tracking }: Order, request: Request): Promise<void> {
  try {
    const account = await call(
      'accounts',
      { method: 'GET', path: `/accounts/${encodeURIComponent(user)}` },
      request,
    );
    const { email } = expectReply(account, 'accounts', 200);
    const message = {
      to: email,
      subject: `Your order ${id}`,
      text: `Thank you. ${money(cents)} paid; parcel ${tracking}.`,
    };
    expectReply(
      await call('mail', { method: 'POST', path: '/messages', json: message }, request),
      'mail',
      202,
    );
  } catch (error) {
    console.error(
      `checkout: no mail for order ${id}: ${error instanceof Error ? error.message : 'unknown error'}`,
    );
  }
}
