import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { generateKeyPairSync, sign } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { SchemaError } from '#base/schema';
import { formatKey, noteKey, type Signer } from '#domain/merkle';
import { encodeRecord, type TransactionRecord } from '#domain/record';
import { LedgerKeeper, openLedger, type Ledger } from '#service/ledger';
import { auditCommand } from './audit-command.ts';
import { formatEntry, localTime } from './format-entry.ts';
import type { Io } from './io.ts';
import { parseMoment } from './parse-moment.ts';

const EPOCH = 'aaaaaaaaaaaaaaaa';
const START_MS = Date.now() - 60_000;

function record(number: number, changes: Partial<TransactionRecord> = {}): TransactionRecord {
  return {
    timeMs: START_MS + number,
    requestId: `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`,
    traceId: '0af7651916cd43dd8448eb211c80319c',
    direction: 'edge',
    client: { kind: 'user', id: 'https://id.boutique.test|alice', address: '192.0.2.7' },
    user: 'https://id.boutique.test|alice',
    caller: '',
    callee: 'spiffe://boutique.internal/ns/default/sa/frontend',
    host: 'shop.boutique.test',
    method: 'GET',
    path: `/item/${number}`,
    rule: 'GET /item/*',
    decision: 'allowed',
    reason: '',
    detail: '',
    status: 200,
    bytesIn: 0,
    bytesOut: 512,
    durationUs: 900,
    ...changes,
  };
}

const HOSTILE = '/\u001b[2J\u202e\u009b';

describe('ringwall audit', () => {
  let home: string;
  let ledger: Ledger;
  let server: Server;
  let signer: Signer;

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'ringwall-audit-'));
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    signer = {
      keyName: 'boutique.internal/ledger',
      publicKey: raw,
      sign: bytes => sign(null, bytes, privateKey),
    };
    const state = join(home, '.ringwall');
    await mkdir(state);
    await writeFile(join(state, 'ledger.pub'), `${formatKey(noteKey(signer.keyName, raw))}\n`);
    ledger = await openLedger({
      directory: join(state, 'ledger'),
      signer,
      clock: systemClock,
      log: silentLog,
      signEveryMs: 20,
    });
    const records = [
      record(1),
      record(2, {
        decision: 'refused',
        reason: 'no-route',
        status: 404,
        path: HOSTILE,
        user: '',
        callee: '',
      }),
      record(3, {
        requestId: record(1).requestId,
        direction: 'inbound',
        caller: 'spiffe://boutique.internal/ns/ringwall/sa/gateway',
      }),
    ];
    await ledger.appendBatch({
      point: 'gateway',
      epoch: EPOCH,
      firstSeq: 1,
      lines: records.map(encodeRecord),
    });
    await ledger.sign();
    server = await serve(new LedgerKeeper(ledger), join(state, 'control.sock'));
  });
  after(async () => {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
    await ledger.close();
    await rm(home, { recursive: true, force: true });
  });

  async function run(...words: string[]): Promise<{ code: number | undefined; out: string; err: string }> {
    const result = { code: undefined as number | undefined, out: '', err: '' };
    const io: Io = {
      out: text => (result.out += text),
      err: text => (result.err += text),
      cwd: home,
      env: {},
      colour: false,
    };
    const command = auditCommand(io, code => (result.code = code)).exitOverride();
    for (const sub of command.commands)
      sub.exitOverride().configureOutput({ writeErr: io.err, writeOut: io.out });
    await command.parseAsync(words, { from: 'user' }).catch((error: unknown) => {
      if (!(error instanceof Error && 'exitCode' in error)) throw error;
      result.code = 64;
    });
    return result;
  }

  test('tail shows the newest entries, oldest first', async () => {
    const { code, out } = await run('tail', '-n', '2');
    assert.equal(code, 0);
    const lines = out.trimEnd().split('\n');
    assert.equal(lines.length, 2);
    assert.match(
      lines[0] ?? '',
      /^ {7}1 {2}\S+ {2}gateway {3}edge {7}refused {2}404 {2}alice → shop\.boutique\.test {2}GET \/\\u001b\[2J\\u202e\\u009b {2}no-route/,
    );
    assert.match(
      lines[1] ?? '',
      / {2}gateway {3}inbound {4}allowed {2}200 {2}gateway → frontend {2}GET \/item\/3 {2}0\.9 ms {2}00000000-/,
    );
  });

  test('tail --json prints an entry a line', async () => {
    const { out } = await run('tail', '--json');
    const entries = out
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as { id: string; record: TransactionRecord });
    assert.deepEqual(
      entries.map(({ id }) => id),
      [1, 2, 3].map(seq => `gateway/${EPOCH}/${seq}`),
    );
    assert.equal(entries[1]?.record.path, HOSTILE);
  });

  test('no command lets a record write to the terminal', async () => {
    for (const words of [['tail'], ['search'], ['tail', '--json'], ['search', '--json']]) {
      assert.doesNotMatch((await run(...words)).out, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    }
  });

  test('search finds by each condition', async () => {
    const found = async (...words: string[]) => {
      const { code, out } = await run('search', '--json', ...words);
      assert.equal(code, 0);
      return out
        .split('\n')
        .filter(line => line !== '')
        .map(line => (JSON.parse(line) as { index: number }).index);
    };
    assert.deepEqual(await found(), [2, 1, 0]);
    assert.deepEqual(await found('--identity', 'alice', '--decision', 'refused'), [1]);
    assert.deepEqual(await found('--service', 'frontend', '--limit', '1'), [2]);
    assert.deepEqual(await found('--request', record(1).requestId), [2, 0]);
    assert.deepEqual(await found('--since', '15m'), [2, 1, 0]);
    assert.deepEqual(await found('--until', '15m'), []);
    assert.match((await run('search', '--identity', 'nobody')).err, /nothing found/);
  });

  test('search and tail reject words that they do not understand', async () => {
    for (const words of [
      ['search', '--since', 'yesterday'],
      ['search', '--limit', '-1'],
      ['search', '--decision', 'maybe'],
      ['tail', '-n', 'x'],
    ]) {
      const { code, err } = await run(...words);
      assert.equal(code, 64, words.join(' '));
      assert.notEqual(err, '');
    }
  });

  test('a command without control says so and exits 69', async () => {
    for (const words of [['tail'], ['search'], ['prove', '1']]) {
      const { code, err } = await run(...words, '--state', 'nowhere');
      assert.equal(code, 69);
      assert.match(err, /ringwall up/);
    }
  });

  test('verify says that the ledger is whole, beside a running control', async () => {
    const { code, out } = await run('verify');
    assert.equal(code, 0, out);
    assert.match(out, /^whole: all 3 entries/);
    assert.match(out, /log {10}boutique\.internal\/ledger/);
  });

  test('verify of a copy needs a key from elsewhere, and compares with a checkpoint from elsewhere', async () => {
    await cp(join(home, '.ringwall/ledger'), join(home, 'copy'), { recursive: true });
    await writeFile(join(home, 'kept'), ledger.checkpoint);
    const key = (await readFile(join(home, '.ringwall/ledger.pub'), 'utf8')).trim();
    assert.equal((await run('verify', '--dir', 'copy')).code, 64);
    assert.equal((await run('verify', '--dir', 'copy', '--key', key, '--since-checkpoint', 'kept')).code, 0);
    assert.equal((await run('verify', '--dir', 'copy', '--key', '.ringwall/ledger.pub')).code, 0);

    const path = join(home, 'copy/tile/entries/000.p/3');
    await writeFile(path, (await readFile(path, 'latin1')).replace('/item/3', '/item/4'), 'latin1');
    const { code, out } = await run('verify', '--dir', 'copy', '--key', key);
    assert.equal(code, 1);
    assert.match(
      out,
      new RegExp(`^DAMAGED: first bad record: entry 2 \\(gateway/${EPOCH}/3\\): .* \\[entry-changed\\]`),
    );
    const json = JSON.parse((await run('verify', '--dir', 'copy', '--key', key, '--json')).out) as {
      kind: string;
      findings: { index: number }[];
    };
    assert.deepEqual([json.kind, json.findings[0]?.index], ['damaged', 2]);
  });

  test('verify exits 2 when it cannot tell', async () => {
    const other = formatKey(noteKey('another', signer.publicKey));
    await writeFile(join(home, 'foreign'), 'no checkpoint\n');
    for (const words of [
      ['--state', 'nowhere'],
      ['--dir', 'nowhere', '--key', other],
      ['--key', 'no-such-file'],
      ['--key', 'foreign'],
      ['--since-checkpoint', 'foreign'],
      ['--since-checkpoint', 'no-such-file'],
    ]) {
      const { code, err } = await run('verify', ...words);
      assert.equal(code, 2, words.join(' '));
      assert.match(err, /could not be verified/);
    }
    assert.equal((await run('verify', '--key', other)).code, 1);
  });

  test('prove writes a proof that verify-proof accepts with the key alone', async () => {
    const id = record(1).requestId;
    const { code, out, err } = await run('prove', id, '-o', 'one.tlog-proof');
    assert.equal(code, 0);
    assert.match(out, /proof written to one\.tlog-proof/);
    assert.match(err, /other records of this request: 2/);
    assert.equal((await run('prove', '0')).out, await readFile(join(home, 'one.tlog-proof'), 'utf8'));
    const held = await run('verify-proof', 'one.tlog-proof');
    assert.deepEqual([held.code, held.err], [0, '']);
    assert.match(held.out, /holds: entry 0 of boutique\.internal\/ledger, signed with 3 entries/);

    const text = await readFile(join(home, 'one.tlog-proof'), 'utf8');
    await writeFile(join(home, 'bad.tlog-proof'), text.replace('index 0', 'index 1'));
    assert.equal((await run('verify-proof', 'bad.tlog-proof')).code, 1);
    assert.equal(
      (await run('verify-proof', 'one.tlog-proof', '--key', formatKey(noteKey('other', signer.publicKey))))
        .code,
      1,
    );
    assert.equal((await run('verify-proof', 'no-such-file')).code, 2);
  });

  test('prove of an unknown record exits 1', async () => {
    for (const id of ['99', 'no-such', `gateway/${EPOCH}/99`]) {
      const { code, err } = await run('prove', id);
      assert.equal(code, 1);
      assert.match(err, /no record/);
    }
    assert.equal((await run('prove', '0', '-o', 'no/such/directory')).code, 73);
  });

  // Last: it adds a record.
  test('tail -f goes on with what comes', async () => {
    const state = join(home, 'following');
    await mkdir(state);
    const own = await serve(new LedgerKeeper(ledger), join(state, 'control.sock'));
    const following = run('tail', '-f', '-n', '1', '--state', 'following');
    await new Promise(resolve => void setTimeout(resolve, 100));
    await ledger.appendBatch({
      point: 'gateway',
      epoch: EPOCH,
      firstSeq: 4,
      lines: [encodeRecord(record(4))],
    });
    await new Promise(resolve => void setTimeout(resolve, 500));
    own.closeAllConnections();
    await new Promise(resolve => own.close(resolve));
    const { code, out } = await following;
    assert.equal(code, 69);
    assert.deepEqual(
      out
        .trimEnd()
        .split('\n')
        .map(line => Number(line.slice(0, 8))),
      [2, 3],
    );
  });
});

test('formatEntry() says what is missing', () => {
  const io: Io = { out: () => {}, err: () => {}, cwd: '/', env: {}, colour: false };
  const gap = {
    point: 'agent',
    epoch: 'ab',
    fromSeq: 3,
    toSeq: null,
    cause: 'journal-replaced',
    timeMs: 0,
  } as const;
  assert.match(
    formatEntry(io, { kind: 'gap', index: 7, gap }),
    /MISSING {2}records 3 to an unknown one of agent \(ab\): the point's journal/,
  );
  assert.match(formatEntry(io, { kind: 'damaged', index: 7 }), /audit verify/);
});

test('formatEntry() shows each direction, and a connection without a request', () => {
  const io: Io = { out: () => {}, err: () => {}, cwd: '/', env: {}, colour: false };
  const line = (changes: Partial<TransactionRecord>) =>
    formatEntry(io, {
      kind: 'record',
      index: 7,
      id: `agent/${EPOCH}/8`,
      point: 'agent',
      record: record(8, changes),
    });
  const at = (['edge', 'inbound', 'outbound', 'egress', 'operation'] as const).map(direction => {
    const shown = line({ direction });
    assert.match(shown, new RegExp(` {2}agent {5}${direction} +allowed {2}200 {2}`));
    return shown.indexOf('allowed');
  });
  assert.equal(new Set(at).size, 1, 'the columns stand below each other');

  const ended = line({
    requestId: '',
    direction: 'inbound',
    client: { kind: 'unknown', id: '', address: '192.0.2.7' },
    user: '',
    callee: '',
    host: 'payment',
    method: '',
    path: '',
    decision: 'refused',
    reason: 'peer-unverified',
    detail: 'the certificate has expired',
    status: 0,
    durationUs: 2_100,
  });
  assert.match(
    ended,
    /refused {2}--- {2}unknown 192\.0\.2\.7 → payment {2}no request {2}peer-unverified: the certificate has expired {2}2\.1 ms\n$/,
  );
});

test('localTime() names the moment in local time with its offset', () => {
  const text = localTime(START_MS);
  assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$/);
  assert.equal(Date.parse(text), START_MS);
});

test('parseMoment() reads ages and ISO 8601, and nothing else', () => {
  const now = Date.UTC(2026, 2, 1, 12);
  assert.equal(parseMoment('90s', now), now - 90_000);
  assert.equal(parseMoment('7d', now), now - 7 * 86_400_000);
  assert.equal(parseMoment('2026-03-01T08:30Z', now), Date.UTC(2026, 2, 1, 8, 30));
  assert.equal(parseMoment('2026-03-01T08:30:15.5+01:00', now), Date.UTC(2026, 2, 1, 7, 30, 15, 500));
  assert.equal(parseMoment('2026-03-01', now), new Date(2026, 2, 1).getTime());
  for (const bad of [
    '',
    '5',
    'm',
    '5w',
    '-5m',
    'yesterday',
    '2026',
    '2026-13-01',
    '2026-03-01 08:30',
    '1e3',
  ]) {
    assert.equal(parseMoment(bad, now), undefined, bad);
  }
});

/** The part of control's API that these commands use. */
async function serve(keeper: LedgerKeeper, socketPath: string): Promise<Server> {
  const answer = async (url: URL): Promise<unknown> => {
    const [, , id, proof] = url.pathname.split('/');
    if (id === undefined) return keeper.search(Object.fromEntries(url.searchParams));
    return proof === undefined ? keeper.find(decodeURIComponent(id)) : keeper.prove(decodeURIComponent(id));
  };
  const server = createServer((request, response) => {
    answer(new URL(request.url ?? '', 'http://control')).then(
      result => {
        response.statusCode = result === undefined ? 404 : 200;
        response.end(JSON.stringify(result ?? { title: 'not found', status: 404 }));
      },
      (error: unknown) => {
        const status = error instanceof SchemaError ? 400 : 500;
        response.statusCode = status;
        response.end(JSON.stringify({ title: String(error), status }));
      },
    );
  });
  await new Promise<void>(resolve => server.listen(socketPath, resolve));
  return server;
}
