import type { Clock } from '#base/clock';
import { CodedError } from '#base/error';
import type { Log } from '#base/log';
import type { Address } from '#domain/bundle';
import type { Model } from '#domain/model';
import { partIdentity, serviceIdentity } from '#domain/spiffe';
import type { Authority } from '#service/ca';
import { createKeyRequest, EDGE_IDENTITY } from '#service/link';
import type { RevokedSerial, StoredModel } from '#service/store';
import type { ChangeOutcome, DesiredState, ModelSource, WantedBundle } from './desired-state.ts';
import type { Fleet, PointStatus, PointTiming } from './fleet.ts';
import type { JoinTokens, PointName } from './join-tokens.ts';
import type { OperationOutcome, Operations } from './operations.ts';
import type { IssuedToken, RecordKeeper, ServiceChanges, TokenRequest, TokenSource } from './ports.ts';

export class ControlServiceError extends CodedError<'no-such-service'> {}

/** What a change came to, and how long it took to each point. */
export type RolloutOutcome =
  | (Extract<ChangeOutcome, { kind: 'done' }> & {
      readonly points: readonly PointTiming[];
      /** From the request to the last point; to the time limit when a point lags. */
      readonly tookMs: number;
      /** Of a model that was applied. */
      readonly services?: ServiceChanges;
    })
  | Exclude<ChangeOutcome, { kind: 'done' }>;

export type ControlStatus = {
  readonly system: string | null;
  readonly trustDomain: string;
  /** Where points come. */
  readonly address: Address;
  readonly version: number;
  /** `sha256:<hex>` of the model's text. */
  readonly model: string | null;
  readonly revoked: readonly string[];
  /** Those of `revoked` that this state had lost, and the point that brought each back. */
  readonly adopted: readonly { readonly service: string; readonly point: string }[];
  readonly points: readonly PointStatus[];
};

/** A real identity that was issued to attack with. */
export type ProofIdentity = {
  readonly identity: string;
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
};

type Parts = {
  readonly authority: Authority;
  readonly desired: DesiredState;
  readonly fleet: Fleet;
  readonly tokens: JoinTokens;
  readonly keeper: RecordKeeper;
  readonly issuer: () => TokenSource | undefined;
  readonly operations: Operations;
  readonly address: Address;
  readonly socketPath: string;
  readonly settleTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly close: () => Promise<void>;
};

/** The running control plane. */
export class Control {
  readonly #parts: Parts;
  #applying: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Where points come. */
  get address(): Address {
    return this.#parts.address;
  }

  get socketPath(): string {
    return this.#parts.socketPath;
  }

  /** PEM certificates of the trust domain's roots. */
  get trustAnchors(): readonly string[] {
    return this.#parts.authority.trustAnchors;
  }

  /** The model that is in force. */
  get model(): Model | undefined {
    return this.#parts.desired.model;
  }

  get source(): StoredModel | undefined {
    return this.#parts.desired.source;
  }

  /** By the name of the point. */
  get bundles(): ReadonlyMap<string, WantedBundle> {
    return this.#parts.desired.bundles;
  }

  get keeper(): RecordKeeper {
    return this.#parts.keeper;
  }

  /** The built-in issuer, while there is one. */
  get issuer(): TokenSource | undefined {
    return this.#parts.issuer();
  }

  /** @returns a token with which `point` enrols once, within two minutes */
  createJoinToken(point: PointName): string {
    return this.#parts.tokens.create(point);
  }

  /** Puts a model in force at all points; one that does not hold, or whose new services do not start, changes nothing. */
  apply(source: ModelSource): Promise<RolloutOutcome> {
    const applied = this.#applying.then(() =>
      this.#parts.operations.carryOut(
        { action: 'apply' },
        () => this.#applyNext(source),
        outcome => tellRollout(outcome, `model ${this.source?.digest ?? ''}`),
      ),
    );
    this.#applying = applied.catch(() => {});
    return applied;
  }

  /** Cuts a service off at every point. */
  revoke(service: string): Promise<RolloutOutcome> {
    return this.#parts.operations.carryOut(
      { action: 'revoke', service: this.#serviceIdentity(service) },
      () => this.#rollOut('service revoked', desired => desired.revoke(service)),
      outcome => tellRollout(outcome, ''),
    );
  }

  restore(service: string): Promise<RolloutOutcome> {
    return this.#parts.operations.carryOut(
      { action: 'restore', service: this.#serviceIdentity(service) },
      () => this.#rollOut('service restored', desired => desired.restore(service)),
      outcome => tellRollout(outcome, ''),
    );
  }

  /** @param revoked.untilMs when the certificate is past its time and the entry can be forgotten */
  revokeSerial(revoked: RevokedSerial): Promise<RolloutOutcome> {
    return this.#parts.operations.carryOut(
      { action: 'revoke-certificate' },
      () => this.#rollOut('certificate revoked', desired => desired.revokeSerial(revoked)),
      outcome => tellRollout(outcome, `serial ${revoked.serial}`),
    );
  }

  status(): ControlStatus {
    const { authority, desired, fleet } = this.#parts;
    return {
      system: desired.model?.system ?? null,
      trustDomain: authority.trustDomain,
      address: this.#parts.address,
      version: desired.version,
      model: desired.source?.digest ?? null,
      revoked: desired.revokedServices.map(({ service }) => service),
      adopted: desired.revokedServices
        .filter(({ adoptedFrom }) => adoptedFrom !== '')
        .map(({ service, adoptedFrom: point }) => ({ service, point })),
      points: fleet.status(),
    };
  }

  /**
   * Issues a real identity of a service to whoever speaks on the control socket, so that proofs can attack with it.
   * Each one stands in the ledger before it is given.
   *
   * @throws {ControlServiceError} `no-such-service`
   * @throws {OperationError} `not-recorded`
   */
  async issueProofIdentity(order: {
    readonly service: string;
    readonly notBeforeSeconds?: number;
    readonly lifetimeSeconds?: number;
  }): Promise<ProofIdentity> {
    const { authority, clock, desired, operations } = this.#parts;
    const isEdge = order.service === EDGE_IDENTITY;
    const identity = isEdge ? EDGE_IDENTITY : this.#identityOf(order.service);
    const notBeforeMs = clock.nowMs() + (order.notBeforeSeconds ?? -60) * 1000;
    const notAfterMs = notBeforeMs + (order.lifetimeSeconds ?? 300) * 1000;
    const { privateKeyPem, requestPem } = await createKeyRequest();
    const validity = { kind: 'between', notBeforeMs, notAfterMs } as const;
    const dnsNames = desired.model?.edge.hosts.map(({ host }) => host) ?? [];
    const issued = await operations.carryOut(
      { action: 'issue-identity', service: identity },
      () =>
        isEdge
          ? authority.issueServer({ requestPem, dnsNames, addresses: ['127.0.0.1'], validity })
          : authority.issueIdentity({ requestPem, identity, validity }),
      ({ serial }) => done(`serial ${serial}, until ${new Date(notAfterMs).toISOString()}, for a proof`),
    );
    return { identity, privateKeyPem, ...issued };
  }

  /**
   * Has the built-in issuer make a token, which stands in the ledger before it is given.
   *
   * @returns `undefined` without a built-in issuer
   * @throws {OperationError} `not-recorded`
   */
  async issueToken(request: TokenRequest): Promise<IssuedToken | undefined> {
    const { issuer } = this;
    if (issuer === undefined) return undefined;
    return this.#parts.operations.carryOut(
      { action: 'issue-token', user: `${issuer.issuer}|${request.user}` },
      () => issuer.issueToken(request),
      ({ scope, expiresInSeconds }) =>
        done(
          `scopes ${scope === '' ? 'none' : scope}, for ${expiresInSeconds} s` +
            (request.audience === undefined ? '' : `, audience ${request.audience}`),
        ),
    );
  }

  async close(): Promise<void> {
    await this.#parts.close();
  }

  async #applyNext(source: ModelSource): Promise<RolloutOutcome> {
    const { clock, desired, fleet, settleTimeoutMs } = this.#parts;
    const reached = () => fleet.settled(desired.version, clock.monotonicMs(), settleTimeoutMs);
    const outcome = await this.#rollOut('model applied', () => desired.applyModel(source, reached));
    if (outcome.kind !== 'done') return outcome;
    const services = await this.#settle();
    return { ...outcome, ...(services !== undefined && { services }) };
  }

  /** The model is in force, whatever becomes of the services. */
  async #settle(): Promise<ServiceChanges | undefined> {
    const { desired, log } = this.#parts;
    try {
      return await desired.settle();
    } catch (error) {
      log.error('the services do not follow the model', { error: (error as Error).message });
      const fault = error instanceof CodedError ? error.message : 'the services do not follow the model';
      return { started: [], restarted: [], ended: [], faults: [fault] };
    }
  }

  async #rollOut(
    what: string,
    change: (desired: DesiredState) => Promise<ChangeOutcome>,
  ): Promise<RolloutOutcome> {
    const { clock, desired, fleet, log, settleTimeoutMs } = this.#parts;
    const sinceMs = clock.monotonicMs();
    const outcome = await change(desired);
    if (outcome.kind !== 'done') return outcome;
    const points = await fleet.settled(outcome.version, sinceMs, settleTimeoutMs);
    const tookMs = clock.monotonicMs() - sinceMs;
    const lagging = points.filter(({ state }) => state !== 'applied').map(({ point }) => point);
    log.info(what, {
      version: outcome.version,
      changed: outcome.changed,
      points: points.length,
      lagging: lagging.join(' '),
      tookMs,
    });
    return { ...outcome, points, tookMs };
  }

  /** Empty for a service that the model does not have. */
  #serviceIdentity(service: string): string {
    const declared = this.#parts.desired.model?.services.get(service);
    return declared === undefined ? '' : this.#identityOf(service);
  }

  #identityOf(service: string): string {
    const { authority, desired } = this.#parts;
    const declared = desired.model?.services.get(service);
    if (declared !== undefined) return serviceIdentity(authority.trustDomain, declared.namespace, service);
    if (service === 'gateway') return partIdentity(authority.trustDomain, 'gateway');
    throw new ControlServiceError(
      'no-such-service',
      'identities are issued for services of the model and for the gateway',
    );
  }
}

/** @param what was changed, in words */
function tellRollout(outcome: RolloutOutcome, what: string): OperationOutcome {
  const about = what === '' ? '' : `${what}, `;
  switch (outcome.kind) {
    case 'done':
      return done(`${about}version ${outcome.version}${outcome.changed ? '' : ', nothing changed'}`);
    case 'invalid':
      return { decision: 'refused', detail: `${outcome.problems.length} problems in the model` };
    case 'refused':
      return { decision: 'refused', detail: outcome.message };
  }
}

function done(detail: string): OperationOutcome {
  return { decision: 'allowed', detail };
}
