import { shot } from './shot.ts';
import type { Attack, Place, Shot } from './attack.ts';
import { messageOf, messageOfCall, type Field } from './field.ts';

/**
 * From inside of each service's namespace, as if the service were taken over. The control is a declared call through the
 * service's own agent; a service that calls nobody has none, and its probe must fail to connect all the same.
 */
function fromInside(
  attack: Attack,
  field: Field,
  places: (service: string) => readonly { readonly name: string; readonly to: Place }[],
): Shot[] {
  if (!field.hasNamespaces) return [];
  return [...field.model.services.keys()].flatMap(service => {
    const own = field.inboundEntries.find(({ caller }) => caller === service);
    return places(service).map(({ name, to }) =>
      shot(attack, {
        place: `${service}/${name}`,
        service,
        target: `${service} → ${name}`,
        probe: { kind: 'plaintext', from: { service }, to, message: messageOf('GET', '/') },
        control:
          own === undefined
            ? undefined
            : { kind: 'outbound', caller: service, callee: own.service, message: messageOfCall(own.call) },
        expect: { kind: 'no-connection' },
      }),
    );
  });
}

function others(field: Field, service: string): readonly string[] {
  return [...field.model.services.keys()].filter(name => name !== service);
}

const REFERENCES = ['CWE-923', 'ASVS 13.2.4', 'T1021', 'T1046'];

const otherApp: Attack = {
  id: 'network/other-service',
  ring: 'network',
  vantage: 'service',
  title: "connects to another service's own port, past both agents",
  references: REFERENCES,
  aim: field =>
    fromInside(otherApp, field, service =>
      others(field, service).map(other => ({ name: `${other} itself`, to: { kind: 'app', service: other } })),
    ),
};

const otherInbound: Attack = {
  id: 'network/other-agent-port',
  ring: 'network',
  vantage: 'service',
  title: 'connects to the mTLS port of a service, which only points may do',
  references: REFERENCES,
  aim: field =>
    fromInside(otherInbound, field, service =>
      others(field, service).map(other => ({
        name: `mTLS port of ${other}`,
        to: { kind: 'inbound', service: other },
      })),
    ),
};

const otherOutbound: Attack = {
  id: 'network/borrowed-listener',
  ring: 'network',
  vantage: 'service',
  title:
    "connects to the listener by which another service makes its calls, to borrow that service's identity",
  references: [...REFERENCES, 'CWE-441', 'T1199'],
  aim: field =>
    fromInside(otherOutbound, field, service => {
      const listeners = [...field.model.services.values()]
        .filter(({ name }) => name !== service)
        .flatMap(({ name, calls }) => calls.map(callee => ({ caller: name, callee: callee.service })));
      return listeners.map(({ caller, callee }) => ({
        name: `${caller}'s way to ${callee}`,
        to: { kind: 'outbound' as const, caller, callee },
      }));
    }),
};

const gatewayFromInside: Attack = {
  id: 'network/gateway-from-inside',
  ring: 'network',
  vantage: 'service',
  title: 'connects to the gateway from inside',
  references: REFERENCES,
  aim: field => fromInside(gatewayFromInside, field, () => [{ name: 'gateway', to: { kind: 'gateway' } }]),
};

const adminFromInside: Attack = {
  id: 'network/operator-ports',
  ring: 'network',
  vantage: 'service',
  title: "connects to the points' admin ports",
  references: [...REFERENCES, 'CWE-200'],
  aim: field =>
    fromInside(adminFromInside, field, () =>
      field.points.map(point => ({ name: `admin port of ${point}`, to: { kind: 'admin' as const, point } })),
    ),
};

const controlFromInside: Attack = {
  id: 'network/control-port',
  ring: 'network',
  vantage: 'service',
  title: 'connects to the port by which control commands the points',
  references: REFERENCES,
  aim: field => fromInside(controlFromInside, field, () => [{ name: 'control', to: { kind: 'control' } }]),
};

export const NETWORK_ATTACKS: readonly Attack[] = [
  otherApp,
  otherInbound,
  otherOutbound,
  gatewayFromInside,
  adminFromInside,
  controlFromInside,
];
