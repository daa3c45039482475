import { Refusal } from '../kit/refusal.ts';
import { json, runService } from '../kit/service.ts';
import { openStore } from '../kit/store.ts';

type Product = { id: string; name: string; description: string; cents: number };

const PRODUCTS: readonly Product[] = [
  {
    id: 'lamp',
    name: 'Brass desk lamp',
    description: 'Warm light, heavy foot, a switch that clicks.',
    cents: 8900,
  },
  {
    id: 'mug',
    name: 'Stoneware mug',
    description: 'Holds 300 ml and its heat. Dishwasher safe.',
    cents: 1850,
  },
  {
    id: 'blanket',
    name: 'Wool blanket',
    description: 'Woven in one piece, 130 × 180 cm, edges stitched by hand.',
    cents: 12_400,
  },
  {
    id: 'notebook',
    name: 'Dotted notebook',
    description: '160 pages that take ink well & lie flat.',
    cents: 1490,
  },
  {
    id: 'kettle',
    name: 'Enamel kettle',
    description: 'For gas, induction and camp fires; 1.5 litres.',
    cents: 5400,
  },
  {
    id: 'chair',
    name: 'Folding chair',
    description: "Beech and linen. Folds to a hand's width.",
    cents: 16_900,
  },
  { id: 'scarf', name: 'Linen scarf', description: 'Light, long, and better with every wash.', cents: 4200 },
  {
    id: 'clock',
    name: 'Wall clock',
    description: 'Silent sweep, 25 cm, a face that can be read from afar.',
    cents: 7300,
  },
  {
    id: 'knife',
    name: 'Kitchen knife',
    description: 'Carbon steel, 18 cm. Keep it dry and it stays sharp.',
    cents: 9800,
  },
  { id: 'soap', name: 'Olive oil soap', description: 'Three bars, no perfume.', cents: 950 },
];

const store = openStore(
  'catalog',
  'CREATE TABLE IF NOT EXISTS products (id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, cents INTEGER NOT NULL) STRICT',
);
const insert = store.prepare(
  'INSERT OR IGNORE INTO products (id, name, description, cents) VALUES (?, ?, ?, ?)',
);
for (const { id, name, description, cents } of PRODUCTS) insert.run(id, name, description, cents);
const all = store.prepare('SELECT id, name, description, cents FROM products ORDER BY name');
const one = store.prepare('SELECT id, name, description, cents FROM products WHERE id = ?');

runService({
  name: 'catalog',
  routes: {
    'GET /products': () => json(200, { products: all.all() }),
    'GET /products/:id': ({ params }) => {
      const product = one.get(params['id'] ?? '');
      if (product === undefined) throw new Refusal(404, 'no-such-product', 'the shop has no such product');
      return json(200, product);
    },
  },
  close: () => store.close(),
});
