import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import type { Address, Upstream } from '#domain/bundle';
import { AdminServer, PointMetrics } from '#service/metrics';
import type { CallingIdentities } from './calling-identities.ts';
import { dialMutualTls } from './dial.ts';
import { Engine } from './engine.ts';
import type { Recorder } from './recorder.ts';
import type { ProxySettings } from './settings.ts';
import type { Dialled } from './upstream-connection.ts';

export type EnforcerParts = {
  readonly journal: Recorder;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: PointMetrics;
  readonly settings?: Partial<ProxySettings>;
};

/** The bundle that decides, and the identities under which its calls are made. */
type InForce = {
  readonly bundle: { readonly version: number; readonly trustDomain: string };
  readonly calling: CallingIdentities;
};

/** What gateway and agent have in common: an engine, one bundle in force, and an address to ask how they are. */
export abstract class Enforcer<F extends InForce> {
  protected readonly engine: Engine;
  protected readonly metrics: PointMetrics;
  protected readonly log: Log;
  protected inForce: F | undefined;
  readonly #admin: AdminServer;

  constructor({ journal, clock, log, settings = {}, metrics = new PointMetrics() }: EnforcerParts) {
    this.log = log;
    this.metrics = metrics;
    const seriesOf = (direction: Parameters<PointMetrics['series']>[0]) => metrics.series(direction, '');
    const engine = new Engine({ recorder: journal, clock, seriesOf, settings });
    this.engine = engine;
    this.#admin = new AdminServer(metrics, () => this.health());
    metrics.gauge('ringwall_connections', 'Open connections of callers', () => engine.connections);
    metrics.gauge(
      'ringwall_upstream_connections',
      'Open connections to services',
      () => engine.upstreamConnections,
    );
    metrics.gauge('ringwall_bundle_version', 'The bundle in force', () => this.#version);
  }

  get adminPort(): number {
    return this.#admin.port;
  }

  health() {
    const bundle = this.#version;
    const { healthy } = this.engine.recorder;
    const detail = bundle === 0 ? 'no bundle' : healthy ? '' : 'the journal takes nothing';
    return { healthy: detail === '', bundle, detail };
  }

  /** Accepts no more, lets requests in flight end, then closes. */
  async drain(): Promise<void> {
    await this.engine.drain();
    this.close();
  }

  close(): void {
    this.engine.close();
    this.#admin.close();
  }

  /** @throws the system's error when the address cannot be had */
  protected listenAdmin(address: Address): Promise<void> {
    return this.#admin.listen(address);
  }

  /** Connects by mTLS under the identity `own`; `undefined` while there is no valid certificate for it. */
  protected dialService(
    own: string,
    { address, identity }: Pick<Upstream, 'address' | 'identity'>,
  ): Dialled | undefined {
    const inForce = this.inForce;
    const calling = inForce?.calling.calling(own);
    if (inForce === undefined || calling === undefined) return undefined;
    return dialMutualTls({
      address,
      identity,
      trustDomain: inForce.bundle.trustDomain,
      context: calling.context,
      ownNotAfterMs: calling.notAfterMs,
      revoked: () => this.engine.revoked,
    });
  }

  get #version(): number {
    return this.inForce?.bundle.version ?? 0;
  }
}
