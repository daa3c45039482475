import { dirname, relative } from 'node:path';
import type { Model } from '#domain/model';
import { examplePath } from '#domain/path';
import { externalVariablesPath } from './external-variables.ts';
import type { ReadyFile } from './ready-file.ts';

/** What is up, and what to do with it next. */
export function describeSystem(
  model: Model,
  ready: ReadyFile,
  { elapsedMs, stateOption }: { readonly elapsedMs: number; readonly stateOption: string | undefined },
): string {
  const option = stateOption === undefined ? '' : ` --state ${quoteWord(stateOption)}`;
  const services = model.services.size;
  const lines = [
    '',
    `${model.system} is up: ${services} service${services === 1 ? '' : 's'} in ${(elapsedMs / 1000).toFixed(1)} s`,
    '',
    ...describeAddresses(model, ready),
    ...(ready.issuer === null
      ? []
      : [line('issuer', ready.issuer), line('token', `ringwall token --user alice${option}`)]),
    line('prove', `ringwall prove${option}`),
    line('status', `ringwall status${option}`),
    line('logs', nearPath(ready.ca.replace(/ca\.pem$/, 'logs'))),
    line('end', 'Ctrl-C'),
    ...describeGaps(model, ready),
    '',
  ];
  return `${lines.join('\n')}\n`;
}

function describeAddresses(model: Model, ready: ReadyFile): string[] {
  const { hostname, port } = new URL(ready.gateway);
  const example = exampleRequest(model);
  return [
    ...ready.hosts.map(host => line('edge', `https://${host}:${port}`)),
    ...(example === undefined
      ? []
      : [
          line(
            'try',
            `curl --cacert ${quoteWord(nearPath(ready.ca))} --resolve ${example.host}:${port}:${hostname} ` +
              quoteWord(`https://${example.host}:${port}${example.path}`),
          ),
        ]),
  ];
}

/** A request that needs no token, if there is one. */
function exampleRequest(model: Model): { readonly host: string; readonly path: string } | undefined {
  for (const { host, routes } of model.edge.hosts) {
    const open = routes.find(
      ({ clients, methods }) => clients.includes('anonymous') && methods.includes('GET'),
    );
    if (open !== undefined) return { host, path: examplePath(open.path) };
  }
  return undefined;
}

/** What is not as the model would have it; silence would look like protection. */
function describeGaps(model: Model, { ca, network, services }: ReadyFile): string[] {
  const played = Object.values(services).filter(({ standIn }) => standIn).length;
  const absent = [...model.services.keys()].filter(name => services[name]?.pid === undefined);
  const gaps = [
    ...(network.kind === 'enforced' ? [] : [`the network ring is not enforced: ${network.why}`]),
    ...(played === 0 ? [] : [`${played} of ${model.services.size} services are played by stand-ins`]),
    ...absent.map(name => {
      const { host = '', port = 0 } = services[name]?.app ?? {};
      const variables = nearPath(externalVariablesPath(dirname(ca), name));
      return `${name} runs by itself and is expected at ${host}:${port}; what it may call: ${variables}`;
    }),
  ];
  return gaps.length === 0 ? [] : ['', ...gaps.map(gap => `  note: ${gap}`)];
}

function line(name: string, text: string): string {
  return `  ${name.padEnd(8)}${text}`;
}

function nearPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near !== '' && !near.startsWith('..') ? near : path;
}

/** So that a shell reads it as one word. */
function quoteWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
