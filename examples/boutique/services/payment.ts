import { randomUUID } from 'node:crypto';
import { textField, wholeField } from '../kit/fields.ts';
import { Refusal } from '../kit/refusal.ts';
import { json, runService, type Answer, type Request } from '../kit/service.ts';
import { openStore } from '../kit/store.ts';

const MAX_CENTS = 1_000_000;
/** As with the test cards of real providers. */
const DECLINED_CARD = '4000000000000002';

// Of a card, only its last four digits are kept (PCI DSS 3.3).
const store = openStore(
  'payment',
  `CREATE TABLE IF NOT EXISTS charges (
     id TEXT PRIMARY KEY, orderId TEXT NOT NULL UNIQUE, cents INTEGER NOT NULL, last4 TEXT NOT NULL, refunded INTEGER NOT NULL
   ) STRICT`,
);
const insert = store.prepare(
  'INSERT INTO charges (id, orderId, cents, last4, refunded) VALUES (?, ?, ?, ?, 0)',
);
const byOrder = store.prepare('SELECT id, cents, last4, refunded FROM charges WHERE orderId = ?');
const refund = store.prepare('UPDATE charges SET refunded = 1 WHERE id = ?');

runService({
  name: 'payment',
  routes: {
    'POST /charges': charge,
    'POST /charges/:id/refund': ({ params }) => {
      if (refund.run(params['id'] ?? '').changes === 0)
        throw new Refusal(404, 'no-such-charge', 'there is no such charge');
      return json(200, { id: params['id'], refunded: true });
    },
  },
  close: () => store.close(),
});

async function charge(request: Request): Promise<Answer> {
  const fields = await request.json();
  const order = textField(fields, 'order', 60);
  const cents = wholeField(fields, 'cents', { min: 1, max: MAX_CENTS });
  const card = textField(fields, 'card', 30).replace(/[ -]/g, '');
  if (!isCardNumber(card)) throw new Refusal(400, 'bad-card', 'that is not the number of a card');
  const earlier = byOrder.get(order);
  // Asked twice for one order: charged once.
  if (earlier !== undefined)
    return json(200, { id: earlier['id'], cents: earlier['cents'], last4: earlier['last4'] });
  if (card === DECLINED_CARD) throw new Refusal(402, 'card-declined', 'the card was declined');
  const id = randomUUID();
  const last4 = card.slice(-4);
  insert.run(id, order, cents, last4);
  return json(201, { id, cents, last4 });
}

/** ISO/IEC 7812-1: 12 to 19 digits, the last of which checks the others. */
function isCardNumber(card: string): boolean {
  if (!/^\d{12,19}$/.test(card)) return false;
  const sum = card
    .split('')
    .reverse()
    .reduce((total, digit, index) => {
      const value = Number(digit) * (index % 2 === 0 ? 1 : 2);
      return total + (value > 9 ? value - 9 : value);
    }, 0);
  return sum % 10 === 0;
}
