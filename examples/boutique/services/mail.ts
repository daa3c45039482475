import { randomUUID } from 'node:crypto';
import { textField } from '../kit/fields.ts';
import { Refusal } from '../kit/refusal.ts';
import { json, runService } from '../kit/service.ts';
import { openStore } from '../kit/store.ts';

// The shop has no mail server: what would be sent is kept in the outbox.
const store = openStore(
  'mail',
  'CREATE TABLE IF NOT EXISTS outbox (id TEXT PRIMARY KEY, recipient TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL) STRICT',
);
const insert = store.prepare('INSERT INTO outbox (id, recipient, subject, text) VALUES (?, ?, ?, ?)');

runService({
  name: 'mail',
  routes: {
    'POST /messages': async request => {
      const fields = await request.json();
      const to = textField(fields, 'to', 200);
      if (!/^[^\s@<>,;]+@[^\s@<>,;]+$/.test(to))
        throw new Refusal(400, 'bad-field', 'to must be one mail address');
      const id = randomUUID();
      insert.run(id, to, textField(fields, 'subject', 200), textField(fields, 'text', 2000));
      return json(202, { id });
    },
  },
  close: () => store.close(),
});
