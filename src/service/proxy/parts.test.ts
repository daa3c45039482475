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
  assert.equal(inbox.hasNewLine(), false);
  inbox.push(Buffer.from(' /\r\n'));
  assert.equal(inbox.hasNewLine(), true);
  assert.equal(inbox.hasNewLine(), false);
  inbox.push(Buffer.from('\r\n'));
  assert.equal(inbox.hasNewLine(), true);
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
  writer.push(Buffer.from('body'));
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
  writer.push(Buffer.from('0123456'));
  writer.push(Buffer.from('789'));
  writer.flush();
  assert.equal(to.written.join(''), 'head0123456');
  writer.push(Buffer.from('abc'));
  writer.flush();
  assert.equal(to.written.join(''), 'head0123456789');
  writer.end();
  assert.equal(to.written.join(''), 'head0123456789abc');
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
      const value = new Map(caller.fields).get('x-ringwall-user') ?? '';
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
