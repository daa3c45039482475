import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCE = join(ROOT, 'src');
/** From the top down; a layer may import itself and what stands below. */
const LAYERS = ['app', 'service', 'domain', 'base'] as const;
const MAX_LINES = 500;
/** Node's modules with sockets, files, processes or time of their own: not for `domain` and `base`. */
const IMPURE =
  /^node:(fs|net|tls|http|https|http2|dgram|dns|child_process|worker_threads|cluster|timers|process|sqlite|readline|os)\b/;
const IMPURE_GLOBALS =
  /\b(Date\.now|new Date\(\)|Math\.random|performance\.now|process\.|setTimeout|setInterval|setImmediate|fetch\()/;

type Import = { readonly file: string; readonly from: string };

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => join(folder, name));
}

function importsOf(file: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const statements = code.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g,
  );
  return [...statements].map(match => ({ file, from: match[1] ?? match[2] ?? match[3] ?? '' }));
}

/** `domain/path` for a file of that room. */
function roomOf(file: string): string {
  return relative(SOURCE, dirname(file)).split(sep).slice(0, 2).join('/');
}

function layerOf(room: string): number {
  return LAYERS.indexOf(room.split('/')[0] as (typeof LAYERS)[number]);
}

/** What is wrong with one import; `undefined` when nothing is. */
function faultOf({ file, from }: Import): string | undefined {
  const room = roomOf(file);
  const isTest = file.endsWith('.test.ts');
  if (from.startsWith('#')) {
    const target = from.slice(1);
    if (target.split('/').length !== 2) return 'reaches behind a door';
    if (layerOf(target) < layerOf(room) && !isTest) return 'imports upwards';
    return undefined;
  }
  if (from.startsWith('.')) {
    if (!/\.(ts|json)$/.test(from)) return 'has no file ending';
    return roomOf(resolve(dirname(file), from)) === room ? undefined : 'goes around a door';
  }
  if (!isTest && ['domain', 'base'].includes(room.split('/')[0] ?? '') && IMPURE.test(from))
    return 'is not pure';
  return undefined;
}

const files = sourceFiles(SOURCE);
const production = files.filter(file => !file.endsWith('.test.ts'));

test('imports go down or sideways, through doors', () => {
  const faults = files
    .flatMap(file => importsOf(file, readFileSync(file, 'utf8')))
    .flatMap(item => {
      const fault = faultOf(item);
      return fault === undefined ? [] : [`${relative(ROOT, item.file)}: '${item.from}' ${fault}`];
    });
  assert.deepEqual(faults, []);
});

test('the layering check sees what it should (positive control)', () => {
  const file = join(SOURCE, 'domain/path/path.ts');
  const fault = (from: string) => faultOf({ file, from });
  assert.equal(fault('#service/ca'), 'imports upwards');
  assert.equal(fault('#domain/http/deep'), 'reaches behind a door');
  assert.equal(fault('../http/decode.ts'), 'goes around a door');
  assert.equal(fault('node:fs/promises'), 'is not pure');
  assert.equal(fault('./pattern'), 'has no file ending');
  assert.equal(fault('#base/error'), undefined);
  assert.deepEqual(
    importsOf(
      file,
      "import a, {\n b } from '#x/y';\nexport { c } from './c.ts';\nimport 'z';\n// import d from 'd';",
    ).map(({ from }) => from),
    ['#x/y', './c.ts', 'z'],
  );
});

test('domain reads no clock, starts no timer and draws no random number', () => {
  const faults = production
    .filter(file => roomOf(file).startsWith('domain/'))
    .flatMap(file => {
      const code = readFileSync(file, 'utf8')
        .replace(/\/\*[\s\S]*?\*\//g, '')
        .replace(/\/\/.*$/gm, '');
      const found = IMPURE_GLOBALS.exec(code);
      return found === null ? [] : [`${relative(ROOT, file)}: ${found[0]}`];
    });
  assert.deepEqual(faults, []);
});

test('every room has a door: a header comment and re-exports, nothing else', () => {
  const rooms = new Set(
    production.map(file => dirname(file)).filter(folder => relative(SOURCE, folder).split(sep).length === 2),
  );
  const faults = [...rooms].flatMap(room => {
    // Commands are composed by the file that starts them: `app` has no importers.
    if (relative(SOURCE, room).startsWith('app')) return [];
    const door = production.find(file => file === join(room, 'index.ts'));
    if (door === undefined) return [`${relative(ROOT, room)} has no index.ts`];
    const text = readFileSync(door, 'utf8');
    if (!text.startsWith('/**')) return [`${relative(ROOT, door)} has no header comment`];
    const rest = text
      .replace(/\/\*[\s\S]*?\*\//g, '')
      .replace(/export\s+(type\s+)?(\{[^}]*\}|\*( as \w+)?)\s+from\s+'[^']+';/g, '')
      .trim();
    return rest === '' ? [] : [`${relative(ROOT, door)} holds more than re-exports: ${rest.slice(0, 60)}`];
  });
  assert.deepEqual(faults, []);
});

test('what a door offers is asked for by somebody', () => {
  const asked = new Set(
    ['src', 'test', 'bench', 'scripts'].flatMap(folder => sourceFiles(join(ROOT, folder)).flatMap(asksOf)),
  );
  const faults = production
    .filter(file => file.endsWith(`${sep}index.ts`))
    .flatMap(door => offersOf(door).filter(offer => !asked.has(offer) && !asked.has(`${roomOf(door)} *`)));
  assert.deepEqual(faults, []);
});

/** `domain/path parsePattern` for each value that a door offers; errors are there for whoever wants to tell them apart. */
function offersOf(door: string): string[] {
  return [...readFileSync(door, 'utf8').matchAll(/export\s+\{([^}]*)\}\s*from/g)]
    .flatMap(([, names = '']) => names.split(','))
    .map(name => name.trim())
    .filter(name => name !== '' && !name.startsWith('type ') && !name.endsWith('Error'))
    .map(name => `${roomOf(door)} ${name}`);
}

/** The same for what a file imports; `*` for a room that is loaded whole when it is needed. */
function asksOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const named = [
    ...text.matchAll(/import\s+(?:type\s+)?\{([^}]*)\}\s*from\s*'(#[^']+|\.\/index\.ts)'/g),
  ].flatMap(([, names = '', from = '']) => {
    const room = from.startsWith('#') ? from.slice(1) : roomOf(file);
    return names.split(',').map(
      name =>
        `${room} ${
          name
            .trim()
            .replace(/^type /, '')
            .split(' as ')[0]
        }`,
    );
  });
  const whole = [...text.matchAll(/import\('#([^']+)'\)/g)].map(([, room]) => `${room} *`);
  return [...named, ...whole];
}

test(`no file is longer than ${MAX_LINES} lines`, () => {
  const faults = production.filter(file => readFileSync(file, 'utf8').split('\n').length > MAX_LINES + 1);
  assert.deepEqual(
    faults.map(file => relative(ROOT, file)),
    [],
  );
});
