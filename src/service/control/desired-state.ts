import { encodeHex, sha256 } from '#base/bytes';
import type { Clock } from '#base/clock';
import { CodedError, quote } from '#base/error';
import type { Log } from '#base/log';
import type { Bundle } from '#domain/bundle';
import { compile, type Placement } from '#domain/compile';
import { envelopeSchema, type Envelope } from '#domain/dsse';
import { parseModel, type Issuer, type Model, type Problem } from '#domain/model';
import { serviceIdentity } from '#domain/spiffe';
import type { RevokedSerial, RevokedService, StateStore, StoredBundle, StoredModel } from '#service/store';
import type { BundleSigner } from './bundle-signer.ts';
import type { Placer } from './ports.ts';

export class StateError extends CodedError<'damaged' | 'no-issuer'> {}

export type ModelSource = { readonly file: string; readonly directory: string; readonly text: string };

/** A bundle as points get it. */
export type WantedBundle = {
  readonly bundle: Bundle;
  readonly digest: string;
  readonly envelope: Envelope;
};

export type ChangeOutcome =
  /** `changed` is false when everything was so already. */
  | {
      readonly kind: 'done';
      readonly version: number;
      readonly changed: boolean;
      readonly warnings: readonly Problem[];
    }
  | { readonly kind: 'invalid'; readonly problems: readonly Problem[] }
  | {
      readonly kind: 'refused';
      readonly reason: 'other-trust-domain' | 'no-model' | 'unknown-service' | 'not-revoked';
      readonly message: string;
    };

export type DesiredStateOptions = {
  readonly store: StateStore;
  readonly signer: BundleSigner;
  readonly placer: Placer;
  readonly trustDomain: string;
  readonly trustAnchors: readonly string[];
  readonly issuerUrl: (issuer: Issuer) => string;
  readonly issuerAlgorithm?: ((issuer: Issuer) => Issuer['algorithm']) | undefined;
  readonly clock: Clock;
  readonly log: Log;
};

type Revocations = {
  readonly services: readonly RevokedService[];
  readonly serials: readonly RevokedSerial[];
};

/**
 * What every point should apply: the model, the revocations, and the bundles compiled from both.
 *
 * INVARIANT: a version is on the disk before any point sees it, and no two states ever had the same version. Changes
 * are made one at a time; one that does not hold changes nothing.
 */
export class DesiredState {
  readonly #options: DesiredStateOptions;
  readonly #bundles = new Map<string, WantedBundle>();
  #version = 0;
  #source: StoredModel | undefined;
  #model: Model | undefined;
  #placement: Placement | undefined;
  #revocations: Revocations = { services: [], serials: [] };
  #wantedSinceMs = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** Called after each change, before its outcome is known to whoever asked for it. */
  onChanged: () => void = () => {};

  constructor(options: DesiredStateOptions) {
    this.#options = options;
    this.#restore();
  }

  get version(): number {
    return this.#version;
  }

  /** Monotonic time of the last change. */
  get wantedSinceMs(): number {
    return this.#wantedSinceMs;
  }

  get source(): StoredModel | undefined {
    return this.#source;
  }

  get model(): Model | undefined {
    return this.#model;
  }

  get revokedServices(): readonly RevokedService[] {
    return this.#revocations.services;
  }

  get bundles(): ReadonlyMap<string, WantedBundle> {
    return this.#bundles;
  }

  isSerialRevoked(serial: string): boolean {
    return this.#revocations.serials.some(revoked => revoked.serial === serial);
  }

  applyModel(source: ModelSource): Promise<ChangeOutcome> {
    const parsed = parseModel(source);
    if (parsed.kind === 'invalid') {
      return Promise.resolve({ kind: 'invalid', problems: [...parsed.problems, ...parsed.warnings] });
    }
    const { model, warnings } = parsed;
    const { trustDomain } = this.#options;
    if (model.trustDomain !== trustDomain) {
      const message = `the trust domain is ${quote(trustDomain)} and cannot become ${quote(model.trustDomain)} while running`;
      return Promise.resolve({ kind: 'refused', reason: 'other-trust-domain', message });
    }
    return this.#inTurn(async () => {
      const placement = await this.#options.placer.place(model);
      const digest = `sha256:${encodeHex(sha256(source.text))}`;
      const { file, directory, text } = source;
      const stored = { file, directory, text, digest, appliedAtMs: this.#options.clock.nowMs() };
      const changed = this.#commit({ source: stored, model, placement, revocations: this.#revocations });
      return { kind: 'done', version: this.#version, changed, warnings };
    });
  }

  revoke(service: string): Promise<ChangeOutcome> {
    return this.#changeRevocations(({ services, serials }, model) => {
      const declared = model.services.get(service);
      if (declared === undefined) {
        return {
          kind: 'refused',
          reason: 'unknown-service',
          message: `the model has no service ${quote(service)}`,
        };
      }
      const identity = serviceIdentity(model.trustDomain, declared.namespace, service);
      if (services.some(revoked => revoked.identity === identity)) return { services, serials };
      const revoked = { service, identity, atMs: this.#options.clock.nowMs() };
      return { services: [...services, revoked], serials };
    });
  }

  restore(service: string): Promise<ChangeOutcome> {
    return this.#changeRevocations(({ services, serials }) => {
      const left = services.filter(revoked => revoked.service !== service);
      if (left.length < services.length) return { services: left, serials };
      return {
        kind: 'refused',
        reason: 'not-revoked',
        message: `the service ${quote(service)} is not revoked`,
      };
    });
  }

  /** @param revoked.serial lower-case hex without leading zeros */
  revokeSerial(revoked: RevokedSerial): Promise<ChangeOutcome> {
    return this.#changeRevocations(({ services, serials }) => ({
      services,
      serials: [...serials.filter(({ serial }) => serial !== revoked.serial), revoked],
    }));
  }

  #changeRevocations(
    change: (before: Revocations, model: Model) => Revocations | Extract<ChangeOutcome, { kind: 'refused' }>,
  ): Promise<ChangeOutcome> {
    return this.#inTurn(async () => {
      const model = this.#model;
      const source = this.#source;
      if (model === undefined || source === undefined) {
        return { kind: 'refused', reason: 'no-model', message: 'no model is applied yet' };
      }
      const revocations = change(this.#revocations, model);
      if ('kind' in revocations) return revocations;
      // After a restart nobody has placed the services yet.
      const placement = this.#placement ?? (await this.#options.placer.place(model));
      const changed = this.#commit({ source, model, placement, revocations });
      return { kind: 'done', version: this.#version, changed, warnings: [] };
    });
  }

  /** Compiles, persists, and only then lets others see it. Returns whether anything is different. */
  #commit(next: {
    source: StoredModel;
    model: Model;
    placement: Placement;
    revocations: Revocations;
  }): boolean {
    const { store, clock } = this.#options;
    const nowMs = clock.nowMs();
    // A certificate past its time is refused without us.
    const serials = next.revocations.serials.filter(({ untilMs }) => untilMs > nowMs);
    const revocations = { services: next.revocations.services, serials };
    if (this.#isInForce({ ...next, revocations })) {
      this.#placement = next.placement;
      this.#model = next.model;
      return false;
    }
    const version = this.#version + 1;
    const wanted = this.#compile({ ...next, revocations, version });
    store.saveChange({
      version,
      ...(next.source === this.#source ? {} : { model: next.source }),
      revokedServices: revocations.services,
      revokedSerials: revocations.serials,
      bundles: wanted.map(({ bundle, digest, envelope }) => ({
        point: bundle.point,
        digest,
        envelope: JSON.stringify(envelope),
      })),
    });
    this.#version = version;
    this.#source = next.source;
    this.#model = next.model;
    this.#placement = next.placement;
    this.#revocations = revocations;
    this.#useBundles(wanted);
    this.onChanged();
    return true;
  }

  #isInForce(next: {
    source: StoredModel;
    model: Model;
    placement: Placement;
    revocations: Revocations;
  }): boolean {
    if (this.#version === 0 || next.source.digest !== this.#source?.digest) return false;
    if (JSON.stringify(next.revocations) !== JSON.stringify(this.#revocations)) return false;
    const same = this.#compile({ ...next, version: this.#version });
    return (
      same.length === this.#bundles.size &&
      same.every(({ bundle, digest }) => this.#bundles.get(bundle.point)?.digest === digest)
    );
  }

  #compile(input: {
    source: StoredModel;
    model: Model;
    placement: Placement;
    revocations: Revocations;
    version: number;
  }): WantedBundle[] {
    const { trustAnchors, issuerAlgorithm, issuerUrl, signer } = this.#options;
    const bundles = compile({
      model: input.model,
      modelDigest: input.source.digest,
      placement: input.placement,
      version: input.version,
      trustAnchors,
      revoked: {
        identities: input.revocations.services.map(({ identity }) => identity),
        serials: input.revocations.serials.map(({ serial }) => serial),
      },
      issuerUrl,
      issuerAlgorithm,
    });
    return bundles.map(bundle => ({ bundle, ...signer.seal(bundle) }));
  }

  #useBundles(wanted: readonly WantedBundle[]): void {
    this.#bundles.clear();
    for (const each of wanted) this.#bundles.set(each.bundle.point, each);
    this.#wantedSinceMs = this.#options.clock.monotonicMs();
  }

  /** Goes on where the last run stopped: points get the very bundles that they had. */
  #restore(): void {
    const { store, log } = this.#options;
    const { version, model: source, revokedServices, revokedSerials } = store.state();
    this.#version = version;
    this.#source = source;
    this.#revocations = { services: revokedServices, serials: revokedSerials };
    this.#useBundles(store.bundles().flatMap(kept => this.#reopen(kept)));
    if (source === undefined) return;
    const parsed = parseModel(source);
    if (parsed.kind === 'model') this.#model = parsed.model;
    else log.error('the model that was applied last does not hold in this release', { file: source.file });
  }

  #reopen({ point, envelope: text }: StoredBundle): WantedBundle[] {
    const envelope = envelopeSchema.parse(text);
    const opened = this.#options.signer.open(envelope);
    if (opened.kind === 'opened') return [{ bundle: opened.bundle, digest: opened.digest, envelope }];
    if (opened.fault !== 'wrong-shape') {
      throw new StateError('damaged', `the kept bundle of ${quote(point)} is refused: ${opened.message}`);
    }
    // Rightly signed, by another release. The next change compiles it anew, as a higher version.
    this.#options.log.warn('a kept bundle is of another release; the next change replaces it', { point });
    return [];
  }

  #inTurn(work: () => Promise<ChangeOutcome>): Promise<ChangeOutcome> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}
