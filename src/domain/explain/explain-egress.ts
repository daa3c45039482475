import type { Egress, Model } from '#domain/model';
import type { Explanation, Question, RuleView } from './explain.ts';

/** Whether a callee is asked for by a URL: something outside of the system. */
export function isUrl(callee: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(callee);
}

/** The origins that services may reach, each once. */
export function originsOf({ services }: Model): string[] {
  return [...new Set([...services.values()].flatMap(({ egress }) => egress.map(({ origin }) => origin)))];
}

/** May `caller` reach the origin of the URL `callee`? Egress knows origins only: every method and path is as good. */
export function explainEgress(model: Model, { caller, callee }: Question): Explanation {
  if (!URL.canParse(callee)) return { kind: 'unknown-name', name: callee, known: originsOf(model) };
  const asked = new URL(callee);
  const [best] = egressRules(model)
    .map(rule => ({ rule, ...distance(rule, caller, asked) }))
    .sort((a, b) => a.cost - b.cost);
  if (best?.cost === 0)
    return { kind: 'allowed', by: best.rule, conditions: ['any method and path: egress names origins only'] };
  return {
    kind: 'refused',
    reason: 'no-such-call',
    because: `no rule lets ${caller} reach ${originOf(asked)}`,
    nearest: best === undefined ? undefined : { rule: best.rule, difference: best.differences.join('; ') },
  };
}

export function egressView(caller: string, { at, origin, rule }: Egress): RuleView {
  return { rule, at, caller, callee: origin, methods: ['reach'], path: undefined };
}

function egressRules({ services }: Model): RuleView[] {
  return [...services.values()].flatMap(({ name, egress }) => egress.map(each => egressView(name, each)));
}

/** How far a rule is from letting the caller out: another host weighs most, then another caller, port, scheme. */
function distance(rule: RuleView, caller: string, asked: URL) {
  const differences: string[] = [];
  let cost = 0;
  if (rule.caller !== caller) {
    cost += 10;
    differences.push(`it is for ${rule.caller}, not ${caller}`);
  }
  if (rule.callee !== originOf(asked)) {
    const named = new URL(rule.callee);
    cost += named.hostname === asked.hostname ? (named.port === asked.port ? 1 : 2) : 100;
    differences.push(`it leads to ${rule.callee}`);
  }
  return { cost, differences };
}

/** Also of schemes whose origin is opaque (WHATWG URL §4.7). */
function originOf({ host, origin, protocol }: URL): string {
  return origin === 'null' ? `${protocol}//${host}` : origin;
}
