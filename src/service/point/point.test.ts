import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import type { AgentBundle, Bundle } from '#domain/bundle';
import { sealBundle, type BundleRef, type PointMessage } from '#service/link';
import { Backoff } from './backoff.ts';
import { BundleIntake, type IntakeVerdict } from './bundle-intake.ts';
import { HeldIdentities } from './held-identities.ts';
import type { KeptBundle } from './point-store.ts';
import { RecordShipper } from './record-shipper.ts';
import { pointConfigSchema, type PointConfig } from '#service/point';
import { trustDomainOf } from './connect-control.ts';

// Bundles

const { publicKey, privateKey } = generateKeyPairSync('ed25519');

function bundleOf(version: number, more: Partial<AgentBundle> = {}): Bundle {
  return {
    apiVersion: 'ringwall.dev/bundle/v1',
    kind: 'agent',
    system: 'lab',
    trustDomain: 'a.test',
    point: 'agent',
    version,
    model: 'sha256:00',
    trustAnchors: [],
    revoked: { identities: [], serials: [] },
    admin: { host: '127.0.0.1', port: 1 },
    services: [],
    ...more,
  };
}

const digestOf = (bundle: Bundle) => sealBundle(bundle, privateKey).digest;

const { services: _, ...common } = bundleOf(6) as AgentBundle;
const GATEWAY_BUNDLE: Bundle = {
  ...common,
  kind: 'gateway',
  identity: 'spiffe://a.test/ns/ringwall/sa/gateway',
  listen: { host: '127.0.0.1', port: 1 },
  issuers: [],
  hosts: [],
  upstreams: [],
};

type Certify = ConstructorParameters<typeof HeldIdentities>[0]['certify'];

function intakeOf(
  former: BundleRef = { version: 0, digest: '' },
  certify: Certify = () => Promise.resolve({ kind: 'refused', reason: 'test' }),
) {
  const applied: number[] = [];
  const kept: number[] = [];
  const verdicts: IntakeVerdict[] = [];
  const host = {
    fault: undefined as Error | undefined,
    apply(bundle: Bundle) {
      if (this.fault !== undefined) return Promise.reject(this.fault);
      applied.push(bundle.version);
      return Promise.resolve();
    },
  };
  const identities = new HeldIdentities({
    trustAnchors: [],
    kept: {},
    certify,
    clock: systemClock,
    log: silentLog,
    changed: () => {},
  });
  const intake = new BundleIntake({
    name: 'agent',
    kind: 'agent',
    trustDomain: 'a.test',
    identity: 'spiffe://a.test/ns/ringwall/sa/agent',
    bundleKey: publicKey,
    former,
    identities,
    host,
    keepNewest: () => Promise.resolve(),
    keepApplied: (_, { version }) => Promise.resolve(void kept.push(version)),
    report: verdict => verdicts.push(verdict),
    clock: systemClock,
    log: silentLog,
  });
  const receive = async (bundle: Bundle, key = privateKey) => {
    intake.receive(sealBundle(bundle, key).envelope, bundle.version);
    // `settle` drops what waits; a bundle that is being applied is not waiting any more.
    await new Promise(resolve => setImmediate(resolve));
    await intake.settle();
    identities.close();
    return verdicts.at(-1);
  };
  return { intake, host, identities, receive, applied, kept, verdicts };
}

test('a bundle is applied, kept and acknowledged, in this order', async () => {
  const { receive, applied, kept, intake } = intakeOf();
  const verdict = await receive(bundleOf(3));
  assert.equal(verdict?.kind, 'applied');
  assert.deepEqual([applied, kept], [[3], [3]]);
  assert.equal(intake.inForce.version, 3);
  await intake.serving;
});

test('a bundle that revokes waits for no certificate; another one no longer than three seconds', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const asked: string[] = [];
  const { intake, receive, applied } = intakeOf(undefined, name => {
    asked.push(name);
    return asked.length === 1
      ? Promise.resolve({ kind: 'refused', reason: 'test' })
      : Promise.withResolvers<never>().promise;
  });
  await receive(bundleOf(3));
  const revoked = { identities: ['spiffe://a.test/ns/default/sa/x'], serials: [] };
  intake.receive(sealBundle(bundleOf(4, { revoked }), privateKey).envelope, 4);
  await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(applied, [3, 4]);
  intake.receive(sealBundle(bundleOf(5, { revoked }), privateKey).envelope, 5);
  await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(applied, [3, 4]);
  t.mock.timers.tick(3000);
  await intake.settle();
  assert.deepEqual(applied, [3, 4, 5]);
});

const other = generateKeyPairSync('ed25519').privateKey;
const before = { version: 5, digest: 'sha256:aa' };
const REFUSED: readonly (readonly [string, string, Bundle, typeof privateKey])[] = [
  ['signed by another key', 'unknown-key', bundleOf(6), other],
  ['for another point', 'wrong-point', bundleOf(6, { point: 'agent-2' }), privateKey],
  ['for another kind of point', 'wrong-point', GATEWAY_BUNDLE, privateKey],
  ['of another trust domain', 'wrong-trust-domain', bundleOf(6, { trustDomain: 'b.test' }), privateKey],
  ['that is older, though control signed it once', 'older-version', bundleOf(4), privateKey],
  ['of the same version with other content', 'older-version', bundleOf(5), privateKey],
  ['of another shape', 'wrong-shape', { ...bundleOf(6), extra: true } as unknown as Bundle, privateKey],
];

for (const [what, fault, bundle, key] of REFUSED) {
  test(`a bundle ${what} is refused and reported`, async () => {
    const { receive, applied, kept } = intakeOf(before);
    const verdict = await receive(bundle, key);
    assert.equal(verdict?.kind === 'rejected' && verdict.fault, fault);
    assert.deepEqual([applied, kept], [[], []]);
  });
}

test('an older bundle is refused also while the newer one is not in force', async () => {
  const { host, intake, receive, applied } = intakeOf();
  await receive(bundleOf(1));
  host.fault = new Error('port 15001 is taken');
  await receive(bundleOf(5));
  host.fault = undefined;
  const verdict = await receive(bundleOf(4));
  assert.equal(verdict?.kind === 'rejected' && verdict.fault, 'older-version');
  assert.deepEqual(applied, [1]);
  assert.deepEqual([intake.acknowledged.version, intake.newest.ref.version], [1, 5]);
});

const keep = (bundle: Bundle, key = privateKey): KeptBundle => ({
  kind: 'kept',
  envelope: sealBundle(bundle, key).envelope,
});
const NONE: KeptBundle = { kind: 'none' };
const RESUMED: readonly (readonly [string, KeptBundle, KeptBundle, readonly number[]])[] = [
  ['nothing', NONE, NONE, []],
  ['one bundle that is both', keep(bundleOf(2)), keep(bundleOf(2)), [2]],
  ['a newer one that was not in force', keep(bundleOf(2)), keep(bundleOf(3)), [2, 3]],
  ['a newer one alone', NONE, keep(bundleOf(3)), [3]],
  ['a newer one beside a damaged one', { kind: 'damaged' }, keep(bundleOf(3)), [3]],
  ['the last good one alone', keep(bundleOf(2)), NONE, [2]],
  ['a damaged newer one', keep(bundleOf(2)), { kind: 'damaged' }, []],
  ['a newer one that another key signed', keep(bundleOf(2)), keep(bundleOf(3), other), []],
  ['a newer one that is older', keep(bundleOf(3)), keep(bundleOf(2)), []],
  ['bundles from before the last that was in force', keep(bundleOf(1)), keep(bundleOf(1)), []],
];
for (const [what, applied, newest, versions] of RESUMED) {
  test(`of ${what} a restart puts in force: ${versions.join(', ') || 'nothing'}`, async () => {
    const { intake, identities, applied: inForce } = intakeOf({ version: 2, digest: digestOf(bundleOf(2)) });
    const fault = await intake.resume({ applied, newest });
    await new Promise(resolve => setImmediate(resolve));
    await intake.settle();
    identities.close();
    assert.deepEqual(inForce, versions);
    assert.equal(fault === undefined, what === 'nothing' || versions.length > 0);
  });
}

test('a bundle that the host cannot apply is reported, and the former one stays acknowledged', async () => {
  const { host, intake, kept, receive } = intakeOf();
  await receive(bundleOf(1));
  host.fault = new Error('port 15001 is taken');
  const verdict = await receive(bundleOf(2));
  assert.deepEqual(verdict, {
    kind: 'rejected',
    version: 2,
    fault: 'not-applied',
    message: 'port 15001 is taken',
  });
  assert.equal(intake.inForce.version, 1);
  assert.deepEqual(kept, [1]);
});

test('a bundle that the host cannot apply is tried again until it can, and each outcome is reported', async t => {
  const { host, intake, receive, applied, verdicts } = intakeOf();
  await receive(bundleOf(1));
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const turn = () => new Promise(resolve => setImmediate(resolve));
  t.after(() => intake.settle());
  const until = async (count: number) => {
    while (verdicts.length < count) await turn();
  };
  const kinds = () => verdicts.map(({ kind, version }) => `${kind} ${version}`);
  host.fault = new Error('port 15001 is taken');
  intake.receive(sealBundle(bundleOf(2), privateKey).envelope, 2);
  await turn();
  await until(2);
  assert.deepEqual(kinds(), ['applied 1', 'rejected 2']);
  t.mock.timers.tick(499);
  await turn();
  assert.equal(verdicts.length, 2);
  t.mock.timers.tick(501);
  await until(3);
  assert.deepEqual(kinds(), ['applied 1', 'rejected 2', 'rejected 2']);
  host.fault = undefined;
  t.mock.timers.tick(2_000);
  await until(4);
  assert.deepEqual(kinds(), ['applied 1', 'rejected 2', 'rejected 2', 'applied 2']);
  t.mock.timers.tick(60_000);
  await turn();
  assert.deepEqual(applied, [1, 2]);
  await intake.settle();
});

test('a bundle that the host cannot apply is not tried again once another is wanted, or the point stops', async t => {
  const { host, intake, receive, applied, verdicts } = intakeOf();
  await receive(bundleOf(1));
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const turn = () => new Promise(resolve => setImmediate(resolve));
  t.after(() => intake.settle());
  const until = async (count: number) => {
    while (verdicts.length < count) await turn();
  };
  const fail = async (version: number) => {
    host.fault = new Error('port 15001 is taken');
    intake.receive(sealBundle(bundleOf(version), privateKey).envelope, version);
    await until(verdicts.length + 1);
    host.fault = undefined;
  };
  await fail(2);
  intake.receive(sealBundle(bundleOf(3), privateKey).envelope, 3);
  await until(3);
  t.mock.timers.tick(60_000);
  await turn();
  assert.deepEqual(applied, [1, 3]);
  await fail(4);
  await intake.settle();
  t.mock.timers.tick(60_000);
  await turn();
  assert.deepEqual(applied, [1, 3]);
});

// Records

function shipperOf(lines: string[]) {
  const sent: Extract<PointMessage, { kind: 'records' }>[] = [];
  const state = { up: true, acknowledged: 0 };
  const shipper = new RecordShipper({
    journal: {
      readFrom: (seq, max) =>
        Promise.resolve({
          point: 'agent',
          epoch: 'e',
          firstSeq: seq,
          lines: lines.slice(seq - 1, seq - 1 + max),
        }),
      acknowledge: seq => void (state.acknowledged = seq),
      get oldestSeq() {
        return state.acknowledged + 1;
      },
      onAppended: () => () => {},
    },
    send: message => void (message.kind === 'records' && sent.push(message)),
    isUp: () => state.up,
    log: silentLog,
  });
  const turn = () => new Promise(resolve => setImmediate(resolve));
  return { shipper, sent, state, turn };
}

test('the shipper sends one batch at a time and goes on after its acknowledgement', async () => {
  const { shipper, sent, state, turn } = shipperOf(Array.from({ length: 1500 }, (_, i) => `r${i + 1}`));
  shipper.restart();
  await turn();
  shipper.restart();
  await turn();
  assert.deepEqual(
    sent.map(({ firstSeq, lines }) => [firstSeq, lines.length]),
    [
      [1, 1024],
      [1, 1024],
    ],
  );
  shipper.recorded('e', 1024);
  await turn();
  assert.deepEqual([sent.at(-1)?.firstSeq, sent.at(-1)?.lines.length, state.acknowledged], [1025, 476, 1024]);
  shipper.recorded('e', 1500);
  await turn();
  assert.equal(sent.length, 3);
});

test('the shipper ignores acknowledgements of what is not on its way', async () => {
  const { shipper, sent, state, turn } = shipperOf(['r1', 'r2']);
  shipper.recorded('e', 9);
  shipper.restart();
  await turn();
  shipper.recorded('another epoch', 2);
  assert.equal(state.acknowledged, 0);
  assert.equal(sent.length, 1);
});

test('the shipper begins again at the oldest record after control did not take a batch', async () => {
  const { shipper, sent, turn } = shipperOf(['r1', 'r2', 'r3']);
  shipper.restart();
  await turn();
  shipper.recorded('e', 2);
  await turn();
  shipper.notRecorded();
  await turn();
  assert.deepEqual(
    sent.map(({ firstSeq }) => firstSeq),
    [1, 3],
  );
  await new Promise(resolve => setTimeout(resolve, 1100));
  assert.deepEqual(
    sent.map(({ firstSeq }) => firstSeq),
    [1, 3, 3],
  );
  shipper.close();
});

test('the shipper bounds a message, and sends a record that no message carries as lost', async () => {
  const { shipper, sent, turn } = shipperOf([
    'a'.repeat(70_000),
    ...Array.from({ length: 100 }, () => 'b'.repeat(60_000)),
  ]);
  shipper.restart();
  await turn();
  assert.equal(sent[0]?.lines[0], '');
  assert.ok((sent[0]?.lines.join('').length ?? 0) <= 2 * 1024 * 1024);
  assert.ok((sent[0]?.lines.length ?? 0) > 10);
});

test('the shipper sends nothing while there is no stream', async () => {
  const { shipper, sent, state, turn } = shipperOf(['r1']);
  state.up = false;
  shipper.restart();
  await turn();
  assert.equal(sent.length, 0);
  shipper.close();
});

// The rest

test('Backoff doubles up to its bound and begins anew after a reset', () => {
  const backoff = new Backoff(100, 1000);
  const waits = Array.from({ length: 50 }, () => backoff.nextMs());
  assert.ok(waits.every(wait => wait >= 50 && wait <= 1000));
  assert.ok(waits[0]! <= 100);
  assert.ok(Math.max(...waits) > 400);
  backoff.reset();
  assert.ok(backoff.nextMs() <= 100);
});

const config: PointConfig = {
  name: 'agent',
  control: { host: '127.0.0.1', port: 1 },
  trustAnchors: ['x'],
  joinToken: '',
  stateDir: '/tmp/x',
};

test('pointConfigSchema refuses names that are paths, ports that are none, and unknown keys', () => {
  assert.equal(pointConfigSchema.is(config), true);
  for (const wrong of [
    { name: '../x' },
    { name: '' },
    { control: { host: 'a', port: 0 } },
    { trustAnchors: [] },
    { extra: 1 },
  ]) {
    assert.equal(pointConfigSchema.is({ ...config, ...wrong }), false, JSON.stringify(wrong));
  }
});

test('trustDomainOf() refuses anchors that are no roots of a trust domain', () => {
  assert.throws(() => trustDomainOf(config), { code: 'bad-trust-anchors' });
});
