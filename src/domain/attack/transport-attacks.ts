import { shot } from './shot.ts';
import type { Attack, Message, Shot } from './attack.ts';
import { legitimate, messageOf, type Entry, type Field } from './field.ts';

const PLAIN: Message = messageOf('GET', '/');

/** The legitimate way that shows that this service's inbound port is alive: its own, or else the edge's. */
function wayTo(field: Field, service: string): Entry | undefined {
  return field.entries.find(entry => entry.service === service);
}

/** One shot at the mTLS port of every service. */
function atInbound(
  attack: Attack,
  field: Field,
  make: (service: string) => Pick<Shot, 'probe' | 'expect'>,
): Shot[] {
  return [...field.model.services.keys()].flatMap(service => {
    const way = wayTo(field, service);
    if (way === undefined) return [];
    return shot(attack, {
      place: `inbound/${service}`,
      service,
      target: `mTLS port of ${service}`,
      control: legitimate(way),
      ...make(service),
    });
  });
}

function atGateway(
  attack: Attack,
  field: Field,
  make: (host: string) => Pick<Shot, 'probe' | 'expect'>,
): Shot[] {
  return field.doors.map(door =>
    shot(attack, {
      place: `gateway/${door.service}`,
      service: door.service,
      target: `TLS port of the gateway, for ${door.host}`,
      control: legitimate(door),
      ...make(door.host),
    }),
  );
}

const plaintextInbound: Attack = {
  id: 'transport/plaintext-to-agent',
  ring: 'transport',
  vantage: 'network',
  title: 'speaks plain HTTP to an mTLS port',
  references: ['CWE-319', 'ASVS 12.3.1', 'T1040'],
  aim: field =>
    atInbound(plaintextInbound, field, service => ({
      probe: { kind: 'plaintext', from: 'host', to: { kind: 'inbound', service }, message: PLAIN },
      expect: { kind: 'no-session' },
    })),
};

const plaintextGateway: Attack = {
  id: 'transport/plaintext-to-gateway',
  ring: 'transport',
  vantage: 'outside',
  title: 'speaks plain HTTP to the gateway',
  references: ['CWE-319', 'ASVS 12.2.1', 'T1040'],
  aim: field =>
    atGateway(plaintextGateway, field, () => ({
      probe: { kind: 'plaintext', from: 'host', to: { kind: 'gateway' }, message: PLAIN },
      // Whatever the answer would be: who answers has read it.
      expect: { kind: 'no-session' },
    })),
};

const OLD_VERSIONS = ['TLSv1', 'TLSv1.1'] as const;

const oldVersions = OLD_VERSIONS.flatMap(version => {
  const name = version === 'TLSv1' ? 'tls10' : 'tls11';
  const references = ['CWE-327', 'ASVS 12.1.1', 'RFC 8996'];
  const gateway: Attack = {
    id: `transport/${name}-to-gateway`,
    ring: 'transport',
    vantage: 'outside',
    title: `offers the gateway nothing newer than ${version}`,
    references,
    aim: field =>
      atGateway(gateway, field, host => ({
        probe: {
          kind: 'edge',
          host,
          token: { kind: 'none' },
          message: { kind: 'nothing' },
          tls: { maxVersion: version },
        },
        expect: { kind: 'no-session' },
      })),
  };
  const inbound: Attack = {
    id: `transport/${name}-to-agent`,
    ring: 'transport',
    vantage: 'service',
    title: `offers an agent nothing newer than ${version}`,
    references,
    aim: field => atInboundAs(inbound, field, { maxVersion: version }),
  };
  return [gateway, inbound];
});

/** Sets of cipher suites that nothing should accept, by OpenSSL's names. */
const WEAK_CIPHERS = [
  {
    name: 'no-encryption',
    ciphers: 'NULL:eNULL:@SECLEVEL=0',
    title: 'offers only suites without encryption',
  },
  {
    name: 'no-authentication',
    ciphers: 'aNULL:ADH:AECDH:@SECLEVEL=0',
    title: 'offers only suites without authentication',
  },
  {
    name: 'no-forward-secrecy',
    ciphers: 'kRSA:@SECLEVEL=0',
    title: 'offers only suites without forward secrecy',
  },
  {
    name: 'cbc',
    ciphers: 'ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:@SECLEVEL=0',
    title: 'offers only CBC suites with SHA-1',
  },
] as const;

const weakCiphers = WEAK_CIPHERS.map(({ name, ciphers, title }) => {
  const attack: Attack = {
    id: `transport/${name}`,
    ring: 'transport',
    vantage: 'outside',
    title: `${title} to the gateway`,
    references: ['CWE-327', 'ASVS 12.1.2', 'RFC 9325 §4.2'],
    aim: field =>
      atGateway(attack, field, host => ({
        probe: {
          kind: 'edge',
          host,
          token: { kind: 'none' },
          message: { kind: 'nothing' },
          tls: { ciphers },
        },
        expect: { kind: 'no-session' },
      })),
  };
  return attack;
});

/** With a caller's real certificate, where a service has a caller: only the TLS version is wrong. */
function atInboundAs(
  attack: Attack,
  field: Field,
  tls: { readonly maxVersion: 'TLSv1' | 'TLSv1.1' },
): Shot[] {
  return field.entries.flatMap(entry => {
    if (entry.kind !== 'inbound') return [];
    return shot(attack, {
      place: `inbound/${entry.service}`,
      service: entry.service,
      target: `mTLS port of ${entry.service}, as ${entry.caller}`,
      control: legitimate(entry),
      probe: {
        kind: 'inbound',
        service: entry.service,
        certificate: { kind: 'service', service: entry.caller },
        message: { kind: 'nothing' },
        tls,
      },
      expect: { kind: 'no-session' },
    });
  });
}

export const TRANSPORT_ATTACKS: readonly Attack[] = [
  plaintextGateway,
  plaintextInbound,
  ...oldVersions,
  ...weakCiphers,
];
