import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/clock';
import { createLog, silentLog } from '#base/log';

test('createLog() writes one JSON object a line, from its level up', () => {
  const lines: string[] = [];
  const log = createLog({
    name: 'gateway',
    level: 'info',
    clock: new FakeClock(0),
    write: line => lines.push(line),
  });
  log.debug('not this');
  log.info('started', { port: 1 });
  log.error('line\nbreak', { text: 'a\nb' });
  silentLog.error('not this');
  assert.deepEqual(
    lines.map(line => JSON.parse(line)),
    [
      { time: '1970-01-01T00:00:00.000Z', level: 'info', name: 'gateway', message: 'started', port: 1 },
      {
        time: '1970-01-01T00:00:00.000Z',
        level: 'error',
        name: 'gateway',
        message: 'line\nbreak',
        text: 'a\nb',
      },
    ],
  );
  for (const line of lines) assert.equal(line.indexOf('\n'), line.length - 1);
});
