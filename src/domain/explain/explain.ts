import { OUTSIDE, type Call, type Model, type Position, type Route } from '#domain/model';
import { matchesPattern, normalisePath, type PathFault } from '#domain/path';
import type { Reason } from '#domain/decision';
import { egressView, explainEgress, isUrl, originsOf } from './explain-egress.ts';

export type Question = {
  /** A service, or `outside`. */
  readonly caller: string;
  /** A service, or the URL of something outside; from outside a declared host as well. */
  readonly callee: string;
  readonly method: string;
  /** As a client sends it, without query. */
  readonly path: string;
};

/** A rule of the model as people read it: `checkout may POST /charges on payment`. */
export type RuleView = {
  readonly rule: string;
  readonly at: Position;
  readonly caller: string;
  readonly callee: string;
  readonly methods: readonly string[];
  /** A path pattern; `connect` rules have none. */
  readonly path: string | undefined;
};

export type Explanation =
  | { readonly kind: 'allowed'; readonly by: RuleView; readonly conditions: readonly string[] }
  | {
      readonly kind: 'refused';
      readonly reason: Reason;
      /** In words: what no rule allows. */
      readonly because: string;
      readonly nearest: { readonly rule: RuleView; readonly difference: string } | undefined;
    }
  | { readonly kind: 'unknown-name'; readonly name: string; readonly known: readonly string[] };

type Candidate = RuleView & {
  readonly matches: (path: string) => boolean;
  readonly route: Route | undefined;
};

export function explain(model: Model, question: Question): Explanation {
  const { caller, callee } = question;
  if (caller !== OUTSIDE && !model.services.has(caller)) return unknownName(model, caller);
  const normal =
    question.method === 'connect' ? { kind: 'path' as const, path: '/' } : normalisePath(question.path);
  if (isUrl(callee)) {
    return normal.kind === 'refused' ? refusePath(normal.reason) : explainEgress(model, question);
  }
  const host = model.edge.hosts.find(candidate => candidate.host === callee.toLowerCase());
  if (!model.services.has(callee) && (caller !== OUTSIDE || host === undefined))
    return unknownName(model, callee);

  const rules = [...collectRules(model)].filter(rule =>
    host !== undefined && caller === OUTSIDE && !model.services.has(callee)
      ? rule.rule.startsWith(`edge/${host.host}/`)
      : rule.callee === callee,
  );
  const method = question.method === 'connect' ? 'connect' : question.method.toUpperCase();
  if (normal.kind === 'refused') return refusePath(normal.reason);

  const [best] = rules
    .map(rule => ({ rule, ...distance(rule, caller, method, normal.path) }))
    .sort((a, b) => a.cost - b.cost);
  if (best?.cost === 0) return { kind: 'allowed', by: view(best.rule), conditions: conditionsOf(best.rule) };
  return {
    kind: 'refused',
    reason: reasonFor(caller, rules, normal.path),
    because: `no rule allows ${caller} to ${method} ${method === 'connect' ? '' : `${normal.path} `}on ${callee}`,
    nearest:
      best === undefined ? undefined : { rule: view(best.rule), difference: best.differences.join('; ') },
  };
}

/** The rule of this name, as records and proofs hold it; `undefined` when the model has none. */
export function findRule(model: Model, name: string): RuleView | undefined {
  for (const rule of collectRules(model)) if (rule.rule === name) return view(rule);
  for (const { name: caller, egress } of model.services.values()) {
    const found = egress.find(({ rule }) => rule === name);
    if (found !== undefined) return egressView(caller, found);
  }
  return undefined;
}

function* collectRules(model: Model): Generator<Candidate> {
  for (const { routes } of model.edge.hosts) {
    for (const route of routes) {
      yield {
        rule: route.rule,
        at: route.at,
        caller: OUTSIDE,
        callee: route.to,
        methods: route.methods,
        path: route.path.text,
        matches: path => matchesPattern(route.path, path),
        route,
      };
    }
  }
  for (const service of model.services.values()) {
    for (const { service: callee, calls } of service.calls) {
      for (const call of calls) yield callRule(service.name, callee, call);
    }
  }
}

function callRule(caller: string, callee: string, call: Call): Candidate {
  const { rule, at } = call;
  return call.kind === 'connect'
    ? {
        rule,
        at,
        caller,
        callee,
        methods: ['connect'],
        path: undefined,
        matches: () => true,
        route: undefined,
      }
    : {
        rule,
        at,
        caller,
        callee,
        methods: [call.method],
        path: call.path.text,
        matches: path => matchesPattern(call.path, path),
        route: undefined,
      };
}

/** How far a rule is from allowing the call: another caller weighs most, then the path, then the method. */
function distance(rule: Candidate, caller: string, method: string, path: string) {
  const differences: string[] = [];
  let cost = 0;
  if (rule.caller !== caller) {
    cost += 100;
    differences.push(`it is for ${rule.caller}, not ${caller}`);
  }
  if (!rule.matches(path)) {
    cost += 10 + segmentDistance(rule.path ?? '/', path);
    differences.push(`its path is ${rule.path}`);
  }
  if (!rule.methods.includes(method)) {
    cost += 5;
    differences.push(`it allows ${rule.methods.join(', ')}, not ${method}`);
  }
  return { cost, differences };
}

/** Counts the segments in which a pattern and a path differ, at most 9: enough to order the near ones. */
function segmentDistance(pattern: string, path: string): number {
  const wanted = pattern.split('/');
  const given = path.split('/');
  let different = Math.abs(wanted.length - given.length);
  for (let index = 0; index < Math.min(wanted.length, given.length); index += 1) {
    const segment = wanted[index];
    if (segment !== '*' && segment !== '**' && segment !== given[index]) different += 1;
  }
  return Math.min(different, 9);
}

function reasonFor(caller: string, rules: readonly Candidate[], path: string): Reason {
  if (caller !== OUTSIDE) return 'no-such-call';
  const isRouted = rules.some(rule => rule.caller === OUTSIDE && rule.matches(path));
  return isRouted ? 'method-not-allowed' : 'no-route';
}

function conditionsOf({ route }: Candidate): readonly string[] {
  if (route === undefined) return [];
  const { clients, scopes, limits, lockout } = route;
  return [
    clients.includes('anonymous') ? 'anybody may come' : `only a signed-in ${clients.join(' or ')}`,
    ...(scopes.length > 0 ? [`with scope ${scopes.join(' and ')}`] : []),
    ...limits.map(({ text }) => `at most ${text}`),
    ...(lockout === undefined ? [] : [`locked out after ${lockout.text}`]),
  ];
}

function refusePath(fault: PathFault): Explanation {
  return {
    kind: 'refused',
    reason: 'ambiguous-path',
    because:
      fault === 'not-absolute'
        ? 'a path begins with /'
        : `the path can be read in more than one way (${fault})`,
    nearest: undefined,
  };
}

function unknownName(model: Model, name: string): Explanation {
  return {
    kind: 'unknown-name',
    name,
    known: [
      OUTSIDE,
      ...model.edge.hosts.map(({ host }) => host),
      ...model.services.keys(),
      ...originsOf(model),
    ],
  };
}

function view({ rule, at, caller, callee, methods, path }: Candidate): RuleView {
  return { rule, at, caller, callee, methods, path };
}
