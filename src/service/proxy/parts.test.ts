import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '#base/clock';
import { Caller } from '#service/proxy';
import { AnswerWriter } from './answer-writer.ts';
import { Deadlines } from './deadlines.ts';
import { Inbox } from './inbox.ts';
import { ConnectionIndex, serialName } from './revocation.ts';

test('an Inbox gives back the bytes that it got, however they were cut and used', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 50 }),
      fc.infiniteStream(fc.nat(60)),
      (chunks, uses) => {
        const inbox = new Inbox();
        const out: Buffer[] = [];
        for (const chunk of chunks) {
          inbox.push(Buffer.from(chunk));
          const use = Math.min(uses.next().value ?? 0, inbox.size);
          out.push(Buffer.from(inbox.bytes.subarray(inbox.start, inbox.start + use)));
          inbox.consume(use);
        }
        out.push(Buffer.from(inbox.bytes.subarray(inbox.start, inbox.end)));
        assert.deepEqual(Buffer.concat(out), Buffer.concat(chunks));
      },
    ),
  );
});

test('an Inbox never writes into bytes that it gave out', () => {
  const inbox = new Inbox();
  for (const text of ['ab', 'cd', 'ef']) inbox.push(Buffer.from(text));
  const given = inbox.bytes.subarray(inbox.start, inbox.start + 4);
  inbox.consume(4);
  for (let i = 0; i < 100; i++) inbox.push(Buffer.from('xxxxxxxxxxxxxxxx'));
  assert.equal(given.toString(), 'abcd');
});

test('an Inbox sees a new line once, wherever it comes', () => {
  const inbox = new Inbox();
  inbox.push(Buffer.from('GET'));
  assert.equal(inbox.hasNews(10), false);
  inbox.push(Buffer.from(' /\r\n'));
  assert.equal(inbox.hasNews(10), true);
  assert.equal(inbox.hasNews(10), false);
  inbox.push(Buffer.from('\r\n'));
  assert.equal(inbox.hasNews(10), true);
  inbox.consume('GET /\r\n\r\n'.length);
  inbox.push(Buffer.from('a'));
  assert.equal(inbox.hasNews(10), false);
});

test('an Inbox sees that a line is too long, however long the lines before it are', () => {
  const inbox = new Inbox();
  inbox.push(Buffer.from('0123456789\r\n0123456789\r\n'));
  assert.equal(inbox.hasNews(10), true);
  for (let i = 0; i < 10; i++) {
    inbox.push(Buffer.from('a'));
    assert.equal(inbox.hasNews(10), false);
  }
  inbox.push(Buffer.from('a'));
  assert.equal(inbox.hasNews(10), true);
});

test('a deadline fires once, not before its time, and not when it was moved', () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const fired: string[] = [];
  const timed = (name: string, deadlineMs: number) => ({ deadlineMs, expired: () => void fired.push(name) });
  const moved = timed('moved', 100);
  for (const one of [timed('early', 100), timed('late', 200), moved, timed('never', Infinity)])
    deadlines.add(one);
  clock.advance(99);
  deadlines.sweep();
  assert.deepEqual(fired, []);
  moved.deadlineMs = 500;
  clock.advance(1);
  deadlines.sweep();
  deadlines.sweep();
  assert.deepEqual(fired, ['early']);
  clock.advance(1000);
  deadlines.sweep();
  assert.deepEqual(fired, ['early', 'late', 'moved']);
  deadlines.close();
});

function sink() {
  const written: string[] = [];
  return {
    written,
    write: (part: string | Buffer) => (written.push(part.toString('latin1')), true),
    cork: () => {},
    uncork: () => {},
  };
}

test('a small answer leaves in one piece', () => {
  const to = sink();
  const writer = new AnswerWriter(to);
  writer.push('head\r\n\r\n');
  writer.pushContent(Buffer.from('body'));
  writer.end();
  assert.deepEqual(to.written, ['head\r\n\r\nbody']);
});

test('an answer that is held leaves at its end only; a long one keeps its last part until then', () => {
  const to = sink();
  const writer = new AnswerWriter(to);
  writer.hold(10);
  writer.push('head');
  writer.flush();
  assert.equal(writer.begun, false);
  writer.pushContent(Buffer.from('0123456'));
  writer.pushContent(Buffer.from('789'));
  writer.flush();
  assert.equal(to.written.join(''), 'head0123456');
  writer.pushContent(Buffer.from('abc'));
  writer.flush();
  assert.equal(to.written.join(''), 'head0123456789');
  writer.end();
  assert.equal(to.written.join(''), 'head0123456789abc');
});

test('an answer in chunks that is held keeps its last content, and not only what frames it', () => {
  const to = sink();
  const writer = new AnswerWriter(to);
  writer.hold(10);
  const chunk = (text: string) => {
    writer.push(`${text.length}\r\n`);
    writer.pushContent(Buffer.from(text));
    writer.push('\r\n');
  };
  writer.push('head');
  chunk('abcdefghi');
  writer.flush();
  assert.equal(to.written.join(''), 'head9\r\n');
  chunk('jkl');
  chunk('mno');
  writer.flush();
  assert.equal(to.written.join(''), 'head9\r\nabcdefghi\r\n3\r\njkl\r\n3\r\n');
  writer.push('0\r\nx-sum: 7\r\n\r\n');
  writer.flush();
  assert.equal(to.written.join(''), 'head9\r\nabcdefghi\r\n3\r\njkl\r\n3\r\n');
  writer.end();
  assert.match(to.written.join(''), /mno\r\n0\r\nx-sum: 7\r\n\r\n$/);
});

test('an answer without content is held whole, however long its head', () => {
  const to = sink();
  const writer = new AnswerWriter(to);
  writer.hold(10);
  writer.push('a head above ten bytes');
  writer.flush();
  assert.equal(writer.begun, false);
  writer.end();
  assert.deepEqual(to.written, ['a head above ten bytes']);
});

test('cut() closes the connections of what is revoked, at either end, and no other', () => {
  const index = new ConnectionIndex();
  const cut: string[] = [];
  const open = (name: string, ...names: string[]) => index.add({ cut: () => void cut.push(name) }, names);
  open('a', 'spiffe://x/a', 'spiffe://x/b', serialName('1'));
  open('b', 'spiffe://x/b', 'spiffe://x/c', serialName('2'));
  open('c', 'spiffe://x/c', 'spiffe://x/d', serialName('3'));
  assert.equal(index.cut({ identities: new Set(['spiffe://x/a']), serials: new Set(['2', '1']) }), 2);
  assert.deepEqual(cut.sort(), ['a', 'b']);
});

test('a caller is told in header fields that any name of his fits into, and that can be decoded', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), subject => {
      const caller = Caller.user({ issuer: 'https://i', subject, clientId: 'web', scopes: new Set() });
      const value = /\r\nx-ringwall-user: (.*)\r\n/.exec(caller.lines.text)?.[1] ?? '';
      assert.match(value, /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/);
      assert.equal(decodeURIComponent(value), subject.toWellFormed());
    }),
  );
});

test('a token without a user behind it is an application', () => {
  const scopes = new Set(['a']);
  assert.equal(
    Caller.user({ issuer: 'i', subject: 'bot', clientId: 'bot', scopes }).facts.kind,
    'application',
  );
  assert.equal(Caller.user({ issuer: 'i', subject: 'eve', clientId: 'bot', scopes }).facts.kind, 'user');
});
