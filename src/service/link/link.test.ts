import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { LineChannel } from '#service/link';

function channelOf(maxLineBytes = 64) {
  const stream = new PassThrough();
  const lines: string[] = [];
  const errors: unknown[] = [];
  stream.on('error', error => errors.push(error));
  const channel = new LineChannel(stream, {
    maxLineBytes,
    maxQueuedBytes: 100,
    onLine: line => lines.push(line),
  });
  const feed = async (...chunks: (string | Uint8Array)[]) => {
    for (const chunk of chunks) stream.emit('data', Buffer.from(chunk as string));
    await new Promise(resolve => setImmediate(resolve));
  };
  return { stream, channel, lines, errors, feed };
}

test('lines come out as they were sent, wherever the chunks are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀'), maxLength: 9 })),
      fc.integer({ min: 1, max: 7 }),
      async (sent, size) => {
        const { feed, lines } = channelOf();
        const bytes = Buffer.from(sent.map(line => `${line}\n`).join(''));
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        await feed(...chunks);
        assert.deepEqual(lines, sent);
      },
    ),
    { numRuns: 60 },
  );
});

test('a line of the greatest length is read, a longer one breaks the stream off, in one chunk or in many', async () => {
  const good = channelOf();
  await good.feed(`${'a'.repeat(64)}\n`);
  assert.equal(good.lines.length, 1);
  for (const chunks of [
    ['a'.repeat(65)],
    Array.from({ length: 65 }, () => 'a'),
    [`b\n${'a'.repeat(65)}\n`],
  ]) {
    const bad = channelOf();
    await bad.feed(...chunks);
    assert.equal((bad.errors[0] as { code?: string }).code, 'line-too-long');
    assert.equal(bad.stream.destroyed, true);
  }
});

test('a line in single bytes is held in little more than its own length', () => {
  const BYTES = 200_000;
  const stream = new PassThrough();
  const lengths: number[] = [];
  const channel = new LineChannel(stream, {
    maxLineBytes: BYTES,
    maxQueuedBytes: 100,
    onLine: line => lengths.push(line.length),
  });
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const held = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = held();
  // Each read has a buffer of its own, as those of TLS records have.
  for (let i = 0; i < BYTES; i++) stream.emit('data', Buffer.from('a'));
  assert.ok(held() - before < 8e6, 'an object for each byte takes five times that');
  stream.emit('data', Buffer.from('\n'));
  assert.deepEqual(lengths, [BYTES]);
  assert.equal(channel.queuedBytes, 0);
});

test('bytes that are not UTF-8 break the stream off', async () => {
  const { errors, feed, lines } = channelOf();
  await feed(Uint8Array.of(0xff, 0x0a));
  assert.equal((errors[0] as { code?: string }).code, 'not-utf8');
  assert.deepEqual(lines, []);
});

test('what the reader of lines throws breaks the stream off, and no later line is read', async () => {
  const stream = new PassThrough();
  const errors: Error[] = [];
  let calls = 0;
  stream.on('error', error => errors.push(error));
  const channel = new LineChannel(stream, {
    maxLineBytes: 10,
    maxQueuedBytes: 10,
    onLine: () => {
      calls += 1;
      throw new Error('bad line');
    },
  });
  stream.emit('data', Buffer.from('a\nb\nc\n'));
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(calls, 1);
  assert.equal(channel.queuedBytes, 0);
  assert.equal(errors[0]?.message, 'bad line');
});

test('a peer that does not read is broken off', async () => {
  const stream = new PassThrough({ writableHighWaterMark: 1, readableHighWaterMark: 1 });
  const errors: { code?: string }[] = [];
  stream.on('error', error => errors.push(error as { code?: string }));
  const channel = new LineChannel(stream, { maxLineBytes: 10, maxQueuedBytes: 100, onLine: () => {} });
  stream.pause();
  for (let i = 0; i < 10; i++) channel.send({ text: 'x'.repeat(50) });
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(errors[0]?.code, 'too-slow');
});
