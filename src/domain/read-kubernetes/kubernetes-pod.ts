import {
  type Locate,
  type Lookup,
  type Note,
  type Part,
  type Setting,
  UNKNOWN,
  argumentSettings,
  expand,
  looksLikeAddress,
  plain,
  settingsOfFile,
  settingsOfText,
} from '#domain/manifest';
import type { Position } from '#domain/model';

export type PodScope = {
  readonly workload: string;
  readonly namespace: string;
  /** The entries of a ConfigMap or Secret of the workload's namespace; `undefined`: not among the manifests. */
  readonly config: (
    kind: 'ConfigMap' | 'Secret',
    name: string,
  ) => ReadonlyMap<string, ConfigEntry> | undefined;
  /** The variables that Kubernetes itself sets for each Service of the namespace. */
  readonly serviceVariable: Lookup;
  readonly note: (note: Note) => void;
};

export type ConfigEntry = { readonly text: string; readonly part: Part };

type Variable = { readonly text: string; readonly from: string; readonly locate: Locate };

const MAX_SECRET = 1024 * 1024;

/** The entries of a ConfigMap or Secret, with Secrets decoded. What they hold goes into no message. */
export function configEntries(object: Part): ReadonlyMap<string, ConfigEntry> {
  const entries = new Map<string, ConfigEntry>();
  const isSecret = object.at('kind').text() === 'Secret';
  for (const [key, part] of object.at('data').entries()) {
    const text = part.text();
    if (text === undefined || text.length > MAX_SECRET) continue;
    entries.set(key, { text: isSecret ? Buffer.from(text, 'base64').toString('utf8') : text, part });
  }
  for (const [key, part] of object.at('stringData').entries()) {
    const text = part.text();
    if (text !== undefined && text.length <= MAX_SECRET) entries.set(key, { text, part });
  }
  return entries;
}

/** Everything in a pod template that configures its containers: env first, then commands, then mounted configuration. */
export function podSettings(template: Part, scope: PodScope): readonly Setting[] {
  const spec = template.at('spec');
  const containers = [...spec.at('containers').items(), ...spec.at('initContainers').items()];
  const fromEnv: Setting[] = [];
  const fromCommands: Setting[] = [];
  const everyVariable = new Map<string, Variable>();
  for (const container of containers) {
    const variables = containerVariables(container, scope);
    const lookup: Lookup = name => variables.get(name)?.text ?? scope.serviceVariable(name);
    for (const [name, variable] of variables) {
      if (!everyVariable.has(name)) everyVariable.set(name, variable);
      fromEnv.push(
        ...settingsOfText(variable.from, name, expand(variable.text, lookup, 'kubernetes'), variable.locate),
      );
    }
    fromCommands.push(...commandSettings(container, lookup));
  }
  const lookup: Lookup = name => everyVariable.get(name)?.text ?? scope.serviceVariable(name);
  return [...fromEnv, ...fromCommands, ...mountedSettings(spec, scope, lookup)];
}

function containerVariables(container: Part, scope: PodScope): ReadonlyMap<string, Variable> {
  const variables = new Map<string, Variable>();
  for (const source of container.at('envFrom').items()) {
    const prefix = source.at('prefix').text() ?? '';
    for (const kind of ['ConfigMap', 'Secret'] as const) {
      const reference = source.at(kind === 'ConfigMap' ? 'configMapRef' : 'secretRef');
      const name = reference.at('name').text();
      if (name === undefined) continue;
      const entries = scope.config(kind, name);
      if (entries === undefined) {
        unresolved(scope, `envFrom names ${kind} ${plain(name)}`, reference.at('name').place());
        continue;
      }
      for (const [key, entry] of entries) {
        const from = `${kind} ${plain(name)} key ${plain(key)}`;
        variables.set(`${prefix}${key}`, { text: entry.text, from, locate: entry.part.locator() });
      }
    }
  }
  for (const env of container.at('env').items()) {
    const name = env.at('name').text();
    if (name !== undefined) variables.set(name, variableOf(name, env, scope));
  }
  return variables;
}

function variableOf(name: string, env: Part, scope: PodScope): Variable {
  const value = env.at('value');
  const text = value.text();
  if (text !== undefined) {
    return { text, from: `env ${plain(name)}`, locate: value.locator() };
  }
  const source = env.at('valueFrom');
  const fieldPath = source.at('fieldRef', 'fieldPath');
  const unknown = (text: string): Variable => ({
    text,
    from: `env ${plain(name)}`,
    locate: () => env.place(),
  });
  if (fieldPath.text() === 'metadata.namespace') return unknown(scope.namespace);
  if (fieldPath.text() === 'metadata.name') return unknown(scope.workload);
  for (const kind of ['ConfigMap', 'Secret'] as const) {
    const reference = source.at(kind === 'ConfigMap' ? 'configMapKeyRef' : 'secretKeyRef');
    const object = reference.at('name').text();
    const key = reference.at('key').text();
    if (object === undefined || key === undefined) continue;
    const entry = scope.config(kind, object)?.get(key);
    if (entry === undefined) {
      // Whether an untold password names a service is no question.
      if (looksLikeAddress(name, '') || kind === 'ConfigMap') {
        unresolved(
          scope,
          `env ${plain(name)} comes from ${kind} ${plain(object)}, key ${plain(key)}`,
          reference.place(),
        );
      }
      return unknown(UNKNOWN);
    }
    return {
      text: entry.text,
      from: `env ${plain(name)} by ${kind} ${plain(object)} key ${plain(key)}`,
      locate: entry.part.locator(),
    };
  }
  return unknown(source.present ? UNKNOWN : '');
}

function commandSettings(container: Part, lookup: Lookup): readonly Setting[] {
  return (['command', 'args'] as const).flatMap(from => {
    const words = container
      .at(from)
      .items()
      .flatMap(item => {
        const text = item.text();
        if (text === undefined) return [];
        return [{ text: expand(text, lookup, 'all'), locate: item.locator() }];
      });
    return argumentSettings(from, words);
  });
}

function mountedSettings(spec: Part, scope: PodScope, lookup: Lookup): readonly Setting[] {
  const found: Setting[] = [];
  const mount = (kind: 'ConfigMap' | 'Secret', nameKey: string, source: Part) => {
    const name = source.at(nameKey).text();
    if (name === undefined) return;
    const entries = scope.config(kind, name);
    if (entries === undefined) {
      const optional = source.at('optional').text() === 'true';
      // Mounted Secrets are mostly certificates, which are made in the cluster.
      if (kind === 'ConfigMap' && !optional && name !== 'kube-root-ca.crt') {
        unresolved(scope, `a volume mounts ConfigMap ${plain(name)}`, source.place());
      }
      return;
    }
    const chosen = source
      .at('items')
      .items()
      .map(item => item.at('key').text());
    for (const [key, entry] of entries) {
      if (chosen.length > 0 && !chosen.includes(key)) continue;
      const from = `${kind} ${plain(name)} key ${plain(key)}`;
      const text = expand(entry.text, lookup, 'all');
      const settings = /\.(?:sh|bash|py|lua|js)$/.test(key)
        ? argumentSettings(from, [{ text, locate: entry.part.locator() }])
        : settingsOfFile(from, text, entry.part.locator());
      found.push(...settings);
    }
  };
  for (const volume of spec.at('volumes').items()) {
    mount('ConfigMap', 'name', volume.at('configMap'));
    mount('Secret', 'secretName', volume.at('secret'));
    for (const source of volume.at('projected', 'sources').items()) {
      mount('ConfigMap', 'name', source.at('configMap'));
      mount('Secret', 'name', source.at('secret'));
    }
  }
  return found;
}

function unresolved(scope: PodScope, what: string, at: Position): void {
  const message = `${plain(scope.workload)}: ${what}, which is not among the manifests`;
  scope.note({ kind: 'unresolved', message, at });
}
