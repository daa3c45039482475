import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { Turn, type Reader } from './turn.ts';

const endOfTurn = () => new Promise(resolve => void setImmediate(resolve));

/** Notes in `log` what happens, in its order. */
function setUp() {
  const log: string[] = [];
  const socket = (name: string) => {
    const duplex = new Duplex({
      decodeStrings: false,
      read() {},
      write(part: string | Buffer, _encoding, done) {
        log.push(`${name} sends ${part.length}`);
        done();
      },
      writev(parts, done) {
        log.push(`${name} sends ${parts.map(({ chunk }) => (chunk as string).length).join('+')}`);
        done();
      },
    });
    return duplex as Socket;
  };
  const reader = (name: string, read: () => void = () => {}): Reader => ({
    read: () => {
      log.push(`${name} reads`);
      read();
    },
    broke: error => log.push(`${name} broke: ${String(error)}`),
  });
  return { log, turn: new Turn(), socket, reader };
}

test('a turn reads, then understands, then writes: all that goes to one socket in one piece', async () => {
  const { log, turn, socket, reader } = setUp();
  const [a, b] = [socket('a'), socket('b')];
  turn.read(
    reader('first', () => {
      turn.write(a, 'head');
      turn.write(a, Buffer.from('content'));
    }),
    10,
  );
  turn.read(
    reader('second', () => turn.write(b, 'x')),
    10,
  );
  log.push('the turn goes on');
  await endOfTurn();
  assert.deepEqual(log, ['the turn goes on', 'first reads', 'second reads', 'a sends 4+7', 'b sends 1']);
});

test('what is written outside of any reading leaves at the end of the turn, too; the next turn is like the first', async () => {
  const { log, turn, socket } = setUp();
  const a = socket('a');
  for (const round of [1, 2]) {
    turn.write(a, 'x');
    assert.equal(log.length, round - 1);
    await endOfTurn();
    assert.equal(log.length, round);
  }
});

test('much leaves at once, and is understood at once', () => {
  const { log, turn, socket, reader } = setUp();
  turn.write(socket('a'), Buffer.alloc(16_384));
  turn.read(reader('big'), 16_384);
  assert.deepEqual(log, ['a sends 16384', 'big reads']);
});

test('a reader that throws ends itself and nobody else', async () => {
  const { log, turn, socket, reader } = setUp();
  const bug = () => {
    throw new RangeError('a bug');
  };
  const a = socket('a');
  turn.read(
    reader('bad', () => {
      turn.write(a, 'x');
      bug();
    }),
    1,
  );
  turn.read(reader('good'), 1);
  turn.read(reader('big', bug), 99_999);
  await endOfTurn();
  const broke = 'broke: RangeError: a bug';
  assert.deepEqual(log, [
    'big reads',
    `big ${broke}`,
    'bad reads',
    `bad ${broke}`,
    'good reads',
    'a sends 1',
  ]);
});

test('a socket that ends or is destroyed within the turn does not hold up the others', async () => {
  const { log, turn, socket } = setUp();
  const [ended, destroyed, other] = [socket('ended'), socket('destroyed'), socket('other')];
  for (const one of [ended, destroyed, other]) turn.write(one, 'x');
  ended.end();
  destroyed.destroy();
  await endOfTurn();
  assert.deepEqual(log, ['ended sends 1', 'other sends 1']);
});
