import { encodeHex, sha256 } from '#base/bytes';
import type { Clock } from '#base/clock';
import { CodedError, quote } from '#base/error';
import type { Log } from '#base/log';
import type { Bundle } from '#domain/bundle';
import { compile, stageNewcomers, type Placement } from '#domain/compile';
import { envelopeSchema, type Envelope } from '#domain/dsse';
import { parseModel, type Issuer, type Model, type Problem } from '#domain/model';
import { parseServiceIdentity, serviceIdentity } from '#domain/spiffe';
import type { BundleRef } from '#service/link';
import type { RevokedSerial, RevokedService, StateStore, StoredBundle, StoredModel } from '#service/store';
import type { BundleSigner } from './bundle-signer.ts';
import type { PointName } from './join-tokens.ts';
import type { Placer, ServiceChanges } from './ports.ts';

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

/** What became of a bundle that a point showed. */
export type Adoption =
  /** It told nothing new, or is part of what is wanted now. */
  { readonly kind: 'taken' } | { readonly kind: 'refused'; readonly message: string };

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

type Placed = { readonly source: StoredModel; readonly model: Model; readonly placement: Placement };

type Wanted = Placed & {
  readonly revocations: Revocations;
  /** What comes next; its new services are there already. */
  readonly next: Placed | undefined;
};

/** No certificate that control issues ends later than this after it was issued: see what the API takes for proofs. */
const LONGEST_LIFETIME_MS = 2 * 86_400_000;

/**
 * What every point should apply: the model, the revocations, and the bundles compiled from both.
 *
 * INVARIANT: a version is on the disk before any point sees it, and no two states ever had the same version. Changes
 * are made one at a time; one that does not hold changes nothing. A revocation waits for no model that is being applied.
 */
export class DesiredState {
  readonly #options: DesiredStateOptions;
  readonly #bundles = new Map<string, WantedBundle>();
  #version = 0;
  #lostVersion = 0;
  #source: StoredModel | undefined;
  #model: Model | undefined;
  #placement: Placement | undefined;
  #next: Placed | undefined;
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

  /**
   * Puts a model in force. Services that it adds come first: nobody is let through to one that does not listen yet.
   *
   * @param reached resolves once the points have what is wanted of them
   */
  async applyModel(source: ModelSource, reached: () => Promise<unknown>): Promise<ChangeOutcome> {
    const parsed = parseModel(source);
    if (parsed.kind === 'invalid') {
      return { kind: 'invalid', problems: [...parsed.problems, ...parsed.warnings] };
    }
    const { model, warnings } = parsed;
    const { clock, placer, trustDomain } = this.#options;
    if (model.trustDomain !== trustDomain) {
      const message = `the trust domain is ${quote(trustDomain)} and cannot become ${quote(model.trustDomain)} while running`;
      return { kind: 'refused', reason: 'other-trust-domain', message };
    }
    const digest = `sha256:${encodeHex(sha256(source.text))}`;
    const { file, directory, text } = source;
    const stored = { file, directory, text, digest, appliedAtMs: clock.nowMs() };
    const before = this.#placed;
    try {
      const next = { source: stored, model, placement: await placer.place(model) };
      if (before !== undefined && hasNewcomers(before.model, model)) {
        await this.#inTurn(() => this.#commit({ ...before, next, revocations: this.#revocations }));
        await reached();
      }
      await placer.start();
      const changed = await this.#inTurn(() =>
        this.#commit({ ...next, next: undefined, revocations: this.#revocations }),
      );
      return { kind: 'done', version: this.#version, changed, warnings };
    } catch (error) {
      if (before !== undefined) await this.#goBack(before);
      throw error;
    }
  }

  /** The points have the model that is in force: the machine follows. */
  async settle(): Promise<ServiceChanges | undefined> {
    return this.#model === undefined ? undefined : this.#options.placer.settle(this.#model);
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
      const revoked = { service, identity, atMs: this.#options.clock.nowMs(), adoptedFrom: '' };
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

  /** Whether a bundle is none of this state's: then the state is older than the point, a copy that was brought back. */
  isForeign(point: string, { version, digest }: BundleRef): boolean {
    // What a later version of the lost state said has been taken over; who shows an earlier one revokes nothing anew.
    if (version <= this.#lostVersion) return false;
    const issued = this.#options.store.issued(point, version);
    return issued.kind === 'unknown' || (issued.kind === 'issued' && issued.digest !== digest);
  }

  /**
   * Takes over what a lost state had revoked, and goes on behind its version, so that the points follow. What a point
   * says counts for nothing here; what it shows is control's own word, so that it cannot revoke or skip at will.
   *
   * UNTRUSTED: the envelope, until its signature is verified.
   */
  adopt(point: PointName, envelope: Envelope): Promise<Adoption> {
    return this.#inTurn((): Adoption => {
      const opened = this.#options.signer.open(envelope);
      if (opened.kind === 'refused') return opened;
      const { bundle, digest } = opened;
      if (bundle.point !== point.name || bundle.kind !== point.kind)
        return { kind: 'refused', message: `it is the bundle of the ${bundle.kind} ${quote(bundle.point)}` };
      const { version } = bundle;
      if (!this.isForeign(point.name, { version, digest })) return { kind: 'taken' };
      const lost = this.#missing(bundle, point.name);
      if (version < this.#version && lost.services.length + lost.serials.length === 0)
        return { kind: 'taken' };
      this.#options.log.error(
        'a point showed a newer state than that of control: was an old copy brought back?',
        {
          point: point.name,
          version,
          revoked: lost.services.map(({ service }) => service).join(' '),
          serials: lost.serials.length,
          model: bundle.model === this.#source?.digest ? 'the same' : 'another one',
        },
      );
      const { services, serials } = this.#revocations;
      this.#goOnBehind(version, {
        services: [...services, ...lost.services],
        serials: [...serials, ...lost.serials],
      });
      return { kind: 'taken' };
    });
  }

  #missing({ revoked }: Bundle, adoptedFrom: string): Revocations {
    const atMs = this.#options.clock.nowMs();
    const services = new Set(this.#revocations.services.map(({ identity }) => identity));
    const serials = new Set(this.#revocations.serials.map(({ serial }) => serial));
    return {
      services: revoked.identities
        .filter(identity => !services.has(identity))
        .map(identity => {
          const service = parseServiceIdentity(identity)?.service ?? identity;
          return { service, identity, atMs, adoptedFrom };
        }),
      serials: revoked.serials
        .filter(serial => !serials.has(serial))
        .map(serial => ({ serial, untilMs: atMs + LONGEST_LIFETIME_MS })),
    };
  }

  /** The wanted bundles as a higher version, with other revocations; the model and its placement stay. */
  #goOnBehind(lostVersion: number, revocations: Revocations): void {
    const version = Math.max(lostVersion, this.#version) + 1;
    const revoked = listsOf(revocations);
    const wanted = [...this.#bundles.values()].map(({ bundle }) =>
      this.#seal({ ...bundle, version, revoked }),
    );
    this.#save({ version, revocations, wanted, lostVersion });
    this.#lostVersion = lostVersion;
    this.onChanged();
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
      const changed = this.#commit({ source, model, placement, next: this.#next, revocations });
      return { kind: 'done', version: this.#version, changed, warnings: [] };
    });
  }

  get #placed(): Placed | undefined {
    const source = this.#source;
    const model = this.#model;
    const placement = this.#placement;
    return source && model && placement && { source, model, placement };
  }

  /** The model that did not come in force leaves nothing. */
  async #goBack(before: Placed): Promise<void> {
    try {
      await this.#inTurn(() => this.#commit({ ...before, next: undefined, revocations: this.#revocations }));
      await this.#options.placer.settle(before.model);
    } catch (error) {
      this.#options.log.error('what was left of a change could not be taken back', {
        error: (error as Error).message,
      });
    }
  }

  /** Compiles, persists, and only then lets others see it. Returns whether anything is different. */
  #commit(change: Wanted): boolean {
    const nowMs = this.#options.clock.nowMs();
    // A certificate past its time is refused without us.
    const serials = change.revocations.serials.filter(({ untilMs }) => untilMs > nowMs);
    const revocations = { services: change.revocations.services, serials };
    if (this.#isInForce({ ...change, revocations })) {
      this.#placement = change.placement;
      this.#model = change.model;
      this.#next = change.next;
      return false;
    }
    const version = this.#version + 1;
    const wanted = this.#compile({ ...change, revocations }, version);
    const model = change.source === this.#source ? {} : { model: change.source };
    this.#save({ version, revocations, wanted, ...model });
    this.#source = change.source;
    this.#model = change.model;
    this.#placement = change.placement;
    this.#next = change.next;
    this.onChanged();
    return true;
  }

  /** CRASH: persists first, so that no version is ever made twice. */
  #save(change: {
    readonly version: number;
    readonly revocations: Revocations;
    readonly wanted: readonly WantedBundle[];
    readonly model?: StoredModel;
    readonly lostVersion?: number;
  }): void {
    const { revocations, wanted, ...stored } = change;
    this.#options.store.saveChange({
      ...stored,
      revokedServices: revocations.services,
      revokedSerials: revocations.serials,
      bundles: wanted.map(({ bundle, digest, envelope }) => ({
        point: bundle.point,
        digest,
        envelope: JSON.stringify(envelope),
      })),
    });
    this.#version = change.version;
    this.#revocations = revocations;
    this.#useBundles(wanted);
  }

  #isInForce(change: Wanted): boolean {
    if (this.#version === 0 || change.source.digest !== this.#source?.digest) return false;
    if (JSON.stringify(change.revocations) !== JSON.stringify(this.#revocations)) return false;
    const same = this.#compile(change, this.#version);
    return (
      same.length === this.#bundles.size &&
      same.every(({ bundle, digest }) => this.#bundles.get(bundle.point)?.digest === digest)
    );
  }

  #compile({ revocations, next, ...placed }: Wanted, version: number): WantedBundle[] {
    const { trustAnchors, issuerAlgorithm, issuerUrl } = this.#options;
    const revoked = listsOf(revocations);
    const bundlesOf = ({ source, model, placement }: Placed) =>
      compile({
        model,
        modelDigest: source.digest,
        placement,
        version,
        trustAnchors,
        revoked,
        issuerUrl,
        issuerAlgorithm,
      });
    const bundles =
      next === undefined ? bundlesOf(placed) : stageNewcomers(bundlesOf(placed), bundlesOf(next));
    return bundles.map(bundle => this.#seal(bundle));
  }

  #seal(bundle: Bundle): WantedBundle {
    return { bundle, ...this.#options.signer.seal(bundle) };
  }

  #useBundles(wanted: readonly WantedBundle[]): void {
    this.#bundles.clear();
    for (const each of wanted) this.#bundles.set(each.bundle.point, each);
    this.#wantedSinceMs = this.#options.clock.monotonicMs();
  }

  /** Goes on where the last run stopped: points get the very bundles that they had. */
  #restore(): void {
    const { store, log } = this.#options;
    const { version, lostVersion, model: source, revokedServices, revokedSerials } = store.state();
    this.#version = version;
    this.#lostVersion = lostVersion;
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

  #inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}

function listsOf({ services, serials }: Revocations): Bundle['revoked'] {
  return {
    identities: services.map(({ identity }) => identity),
    serials: serials.map(({ serial }) => serial),
  };
}

function hasNewcomers(before: Model, after: Model): boolean {
  return [...after.services.keys()].some(name => !before.services.has(name));
}
