import { randomBytes } from 'node:crypto';
import { textField, wholeField } from '../kit/fields.ts';
import { json, runService } from '../kit/service.ts';
import { openStore } from '../kit/store.ts';

const BASE_CENTS = 490;
const PIECE_CENTS = 60;
const DAYS = 3;

const store = openStore(
  'shipping',
  'CREATE TABLE IF NOT EXISTS shipments (tracking TEXT PRIMARY KEY, orderId TEXT NOT NULL UNIQUE, recipient TEXT NOT NULL, address TEXT NOT NULL) STRICT',
);
const insert = store.prepare(
  'INSERT INTO shipments (tracking, orderId, recipient, address) VALUES (?, ?, ?, ?)',
);
const byOrder = store.prepare('SELECT tracking FROM shipments WHERE orderId = ?');

runService({
  name: 'shipping',
  routes: {
    'POST /quotes': async request => {
      const pieces = wholeField(await request.json(), 'pieces', { min: 1, max: 1000 });
      return json(200, { cents: BASE_CENTS + PIECE_CENTS * (pieces - 1), days: DAYS });
    },
    'POST /shipments': async request => {
      const fields = await request.json();
      const order = textField(fields, 'order', 60);
      const recipient = textField(fields, 'recipient', 100);
      const address = textField(fields, 'address', 300);
      const earlier = byOrder.get(order);
      if (earlier !== undefined) return json(200, { tracking: earlier['tracking'], days: DAYS });
      const tracking = `BQ${randomBytes(6).toString('hex').toUpperCase()}`;
      insert.run(tracking, order, recipient, address);
      return json(201, { tracking, days: DAYS });
    },
  },
  close: () => store.close(),
});
