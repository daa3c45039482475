import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#base/clock';
import { hasCode, quote } from '#base/error';
import type { Log } from '#base/log';
import type { Issuer } from '#domain/model';
import { openAuthority, RequestError, type Authority, type IssuedCertificate } from '#service/ca';
import { controlSocketPath } from '#service/control-client';
import { openJournal } from '#service/ledger';
import { openSealer, type Sealer } from '#service/sealed';
import { openSqliteStore, type StateStore } from '#service/store';
import { ApiServer } from './api-server.ts';
import { controlRoutes } from './api-routes.ts';
import { BundleSigner } from './bundle-signer.ts';
import { Control } from './control.ts';
import { DesiredState, StateError } from './desired-state.ts';
import { entitlementOf } from './entitlement.ts';
import { Fleet } from './fleet.ts';
import { JoinTokens } from './join-tokens.ts';
import { PointServer } from './point-server.ts';
import { Operations } from './operations.ts';
import type { CertificateAnswer, PointSession, SessionDuties } from './point-session.ts';
import type { Placer, RecordKeeper, TokenSource } from './ports.ts';

/** Durations that tests shorten. */
export type ControlTimings = {
  readonly certificateLifetimeMs: number;
  readonly heartbeatMs: number;
  /** A point that is silent for longer is taken for gone. */
  readonly silenceMs: number;
  /** How long a change waits for its last point before it says who lags. */
  readonly settleTimeoutMs: number;
};

export type ControlOptions = {
  /** Made with mode 0700. */
  readonly stateDir: string;
  readonly trustDomain: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly placer: Placer;
  readonly keeper: RecordKeeper;
  /** The built-in issuer, while there is one. */
  readonly issuer?: () => TokenSource | undefined;
  /** Where an issuer of the model answers, when that is not where the model says: one that is played here. */
  readonly issuerUrl?: (issuer: Issuer) => string | undefined;
  /** How such an issuer signs. */
  readonly issuerAlgorithm?: (issuer: Issuer) => Issuer['algorithm'];
  readonly clock: Clock;
  readonly log: Log;
  readonly timings?: Partial<ControlTimings>;
};

const TIMINGS: ControlTimings = {
  certificateLifetimeMs: 3_600_000,
  heartbeatMs: 5000,
  silenceMs: 15_000,
  settleTimeoutMs: 10_000,
};

/**
 * Starts the control plane of one trust domain on a state directory: authority, bundles, the port for points and the
 * API on its Unix socket. Goes on where the last run on this directory stopped.
 *
 * @throws {CodedError} of `#service/sealed`, `#service/ca`, `#service/store`, or of this room: nothing is left running
 */
export async function startControl(options: ControlOptions): Promise<Control> {
  const { clock, log, stateDir } = options;
  const timings = { ...TIMINGS, ...options.timings };
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await chmod(stateDir, 0o700);
  const stack = new AsyncDisposableStack();
  try {
    // First, for it is also the lock: one control per state.
    const store = openSqliteStore(join(stateDir, 'control.db'));
    stack.defer(() => store.close());
    const { authority, signer } = await openKeys(options, store);
    const desired = new DesiredState({
      store,
      signer,
      placer: options.placer,
      trustDomain: options.trustDomain,
      trustAnchors: authority.trustAnchors,
      issuerUrl: issuer => options.issuerUrl?.(issuer) ?? issuerUrl(issuer, options.issuer?.()),
      issuerAlgorithm: options.issuerAlgorithm,
      clock,
      log,
    });
    const fleet = new Fleet({ desired, store, clock, log });
    stack.defer(() => fleet.save());
    desired.onChanged = () => {
      for (const session of fleet.sessions())
        if (desired.isSerialRevoked(session.certificate.serial)) session.close();
      fleet.push();
    };
    const tokens = new JoinTokens(clock);
    const lifetimeMs = timings.certificateLifetimeMs;
    const duties: SessionDuties = {
      keeper: options.keeper,
      clock,
      log,
      certify: (session, name, requestPem) =>
        certify({ authority, desired, lifetimeMs, log }, session, name, requestPem),
      isForeign: (point, bundle) => desired.isForeign(point.name, bundle),
      reported: session => fleet.reported(session),
      shown: (session, envelope) => void fleet.shown(session, envelope),
    };
    const points = await PointServer.start({
      listen: options.listen,
      authority,
      tokens,
      bundleKey: signer.publicKey,
      certificateLifetimeMs: lifetimeMs,
      isSerialRevoked: serial => desired.isSerialRevoked(serial),
      duties,
      enrolled: point => fleet.enrolled(point),
      connected: session => fleet.connected(session),
      disconnected: session => fleet.disconnected(session),
      clock,
      log,
    });
    stack.defer(() => points.close());
    const heartbeat = setInterval(() => {
      for (const session of fleet.sessions()) session.checkAlive(timings.silenceMs);
      void points.renewWhenDue();
    }, timings.heartbeatMs);
    stack.defer(() => clearInterval(heartbeat));
    const journal = await openJournal({
      directory: join(stateDir, 'operations'),
      point: 'control',
      clock,
      log,
    });
    const operations = new Operations({ journal, keeper: options.keeper, clock, log });
    stack.defer(() => operations.close());
    const control = new Control({
      authority,
      operations,
      desired,
      fleet,
      tokens,
      keeper: options.keeper,
      issuer: () => options.issuer?.(),
      address: points.address,
      socketPath: controlSocketPath(stateDir),
      settleTimeoutMs: timings.settleTimeoutMs,
      clock,
      log,
      close: () => stack.disposeAsync(),
    });
    const api = await ApiServer.start({
      socketPath: controlSocketPath(stateDir),
      routes: controlRoutes(control),
      log,
    });
    stack.defer(() => api.close());
    return control;
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/**
 * Opens the key file of a state directory, for what else is sealed there: the keys of ledger and issuer. Makes it, and
 * the directory, before anything was sealed.
 *
 * @throws {SealedError}
 */
async function openStateSealer(stateDir: string): Promise<Sealer> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await chmod(stateDir, 0o700);
  const used = await hasSealedFiles(join(stateDir, 'ca'));
  return openSealer({ keyFile: join(stateDir, 'control.key'), whenMissing: used ? 'refuse' : 'create' });
}

async function openKeys(
  options: ControlOptions,
  store: StateStore,
): Promise<{ authority: Authority; signer: BundleSigner }> {
  const { clock, log, stateDir, trustDomain } = options;
  const directory = join(stateDir, 'ca');
  if (store.state().version > 0 && !(await hasSealedFiles(directory))) {
    throw new StateError(
      'damaged',
      `the keys in ${quote(directory)} are gone, and with them every identity of the system`,
    );
  }
  const sealer = await openStateSealer(stateDir);
  const authority = await openAuthority({ directory, sealer, trustDomain, clock, log });
  const signer = await BundleSigner.open(join(directory, 'bundle-key.sealed'), sealer);
  return { authority, signer };
}

async function hasSealedFiles(directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).some(name => name.endsWith('.sealed'));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

function issuerUrl(issuer: Issuer, local: TokenSource | undefined): string {
  if (issuer.issuer !== 'local') return issuer.issuer;
  if (local === undefined)
    throw new StateError('no-issuer', `the issuer ${quote(issuer.name)} is local, and no local issuer runs`);
  return local.issuer;
}

async function certify(
  parts: {
    readonly authority: Authority;
    readonly desired: DesiredState;
    readonly lifetimeMs: number;
    readonly log: Log;
  },
  session: PointSession,
  name: string,
  requestPem: string,
): Promise<CertificateAnswer> {
  const { authority, desired, log } = parts;
  const { point } = session;
  const entitlement = entitlementOf(
    point,
    authority.trustDomain,
    desired.bundles.get(point.name)?.bundle,
    name,
  );
  if (entitlement.kind === 'refused') {
    log.warn('a point asked for a certificate that is not its own', {
      point: point.name,
      name,
      reason: entitlement.reason,
    });
    return entitlement;
  }
  const validity = { kind: 'lifetime', lifetimeMs: parts.lifetimeMs } as const;
  try {
    let certificate: IssuedCertificate;
    if (entitlement.kind === 'edge') {
      const { hosts: dnsNames } = entitlement;
      certificate = await authority.issueServer({ requestPem, dnsNames, addresses: ['127.0.0.1'], validity });
    } else {
      const { identity, kind } = entitlement;
      const commonName = kind === 'own' ? { commonName: point.name } : {};
      certificate = await authority.issueIdentity({ requestPem, identity, validity, ...commonName });
      if (kind === 'own') session.renewed(certificate);
    }
    log.debug('certificate issued', { point: point.name, name, serial: certificate.serial });
    return { kind: 'issued', certificate };
  } catch (error) {
    if (error instanceof RequestError) return { kind: 'refused', reason: 'bad-request' };
    log.error('a certificate was not issued', { point: point.name, name, error: (error as Error).message });
    return { kind: 'refused', reason: 'failed' };
  }
}
