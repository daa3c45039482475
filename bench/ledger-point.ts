import { randomBytes, randomUUID } from 'node:crypto';
import { encodeRecord, type TransactionRecord } from '#domain/record';
import type { JournalBatch } from '#service/ledger';

/** A point that has always more to say. What was not confirmed comes again. */
export class Point {
  readonly #name: string;
  readonly #epoch = randomBytes(8).toString('hex');
  #next = 1;
  #open: JournalBatch | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  nextBatch(size: number): JournalBatch {
    return (this.#open ??= {
      point: this.#name,
      epoch: this.#epoch,
      firstSeq: this.#next,
      lines: Array.from({ length: size }, (_, at) => encodeRecord(madeRecord(this.#next + at))),
    });
  }

  confirmed(): void {
    this.#next += this.#open?.lines.length ?? 0;
    this.#open = undefined;
  }
}

const PATHS = ['/', '/products', '/cart/items', '/checkout', '/static/app.3f2a91.js'];

/** As the shop of the example makes them: one user in ten is signed in, one request in fifty is refused. */
function madeRecord(number: number): TransactionRecord {
  const refused = number % 50 === 0;
  const user = number % 10 === 0 ? `https://id.boutique.test|user-${number % 10_000}` : '';
  return {
    timeMs: 1_790_000_000_000 + number,
    requestId: randomUUID(),
    traceId: randomUUID().replaceAll('-', ''),
    direction: 'edge',
    client: {
      kind: user === '' ? 'anonymous' : 'user',
      id: user || `anon-${number % 5_000}`,
      address: `192.0.2.${number % 250}`,
    },
    user,
    caller: '',
    callee: 'spiffe://boutique.internal/ns/default/sa/frontend',
    host: 'shop.boutique.test',
    method: 'GET',
    path: PATHS[number % PATHS.length] ?? '/',
    rule: 'GET /products/*',
    decision: refused ? 'refused' : 'allowed',
    reason: refused ? 'rate-limited' : '',
    detail: '',
    status: refused ? 429 : 200,
    bytesIn: 0,
    bytesOut: 2_048 + (number % 512),
    durationUs: 700 + (number % 900),
  };
}
