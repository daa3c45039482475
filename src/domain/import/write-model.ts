import { plain } from '#domain/manifest';
import type { Position, Protocol } from '#domain/model';
import type { Draft, DraftCall, DraftRoute, DraftService } from './draft.ts';
import type { DraftHost } from './draft-edge.ts';

type Line = { readonly text: string; readonly comment?: string };

const MAX_NOTES = 300;
const COMMENT_COLUMN = 46;
const MAX_COMMENT = 600;
const NARROW = 'narrow: methods and paths are not in the manifests';

const CALLS: Readonly<Record<Protocol, string>> = {
  http: '[GET /**, POST /**, PUT /**, PATCH /**, DELETE /**]',
  grpc: '[POST /*/*]',
  tcp: '[connect]',
};

/** Writes a draft as `ringwall.yaml`. The same draft gives the same text. */
export function writeModel(draft: Draft): string {
  const lines: Line[] = [
    ...header(draft),
    { text: 'apiVersion: ringwall.dev/v1' },
    { text: `system: ${scalar(draft.system)}` },
    { text: `trustDomain: ${scalar(`${draft.system}.internal`)}` },
    { text: '' },
    ...edge(draft.hosts),
    { text: 'services:' },
    ...draft.services.flatMap((service, index) => [
      ...(index === 0 ? [] : [{ text: '' }]),
      ...serviceLines(service),
    ]),
  ];
  return `${lines.map(render).join('\n')}\n`;
}

function header({ kind, documents, notes, services }: Draft): Line[] {
  const what = kind === 'kubernetes' ? 'Kubernetes manifests' : 'a Compose file';
  const lines = [
    `Imported from ${what} (${documents} ${documents === 1 ? 'document' : 'documents'}, ${services.length} services). Read it before you use it.`,
    'The manifests do not tell:',
    ' - how sensitive the data of a service is: every `data` is a guess',
    ' - methods and paths: calls and routes are as wide as their protocol; narrow them',
    ' - who the clients are: every route admits everybody',
    ...notes
      .slice(0, MAX_NOTES)
      .map(
        ({ message, at }) =>
          ` - ${plain(message, MAX_COMMENT)}${at === undefined ? '' : ` (${placeOf(at)})`}`,
      ),
    ...(notes.length > MAX_NOTES ? [` - and ${notes.length - MAX_NOTES} more: see --json`] : []),
  ];
  return [...lines.map(line => ({ text: `# ${line}` })), { text: '' }];
}

function edge(hosts: readonly DraftHost[]): Line[] {
  if (hosts.length === 0) return [];
  return [
    { text: 'edge:' },
    { text: '  hosts:' },
    ...hosts.flatMap(({ host, isMadeUp, routes }) => [
      {
        text: `    ${scalar(host)}:`,
        ...(isMadeUp ? { comment: 'the manifests name no host: put yours' } : {}),
      },
      ...routes.map(routeLine),
    ]),
    { text: '' },
  ];
}

function routeLine({ path, methods, to, from, at, remark }: DraftRoute): Line {
  const text = `      - { path: ${scalar(path)}, methods: [${methods.join(', ')}], to: ${scalar(to)}, clients: [anonymous] }`;
  return { text, comment: `${origin(from, at)}${remark === undefined ? '' : `; ${remark}`}` };
}

function serviceLines({
  key,
  namespace,
  from,
  at,
  data,
  listen,
  image,
  calls,
  egress,
}: DraftService): Line[] {
  const lines: Line[] = [
    { text: `  ${scalar(key)}:`, comment: origin(from, at) },
    { text: `    data: ${data.data}`, comment: data.why === '' ? 'guess' : `guess: ${data.why}` },
    { text: `    listen: ${listen.protocol} ${listen.port}`, comment: listenComment(listen) },
  ];
  if (namespace !== undefined) lines.push({ text: `    namespace: ${scalar(namespace)}` });
  if (image !== undefined) {
    const others = image.others.length === 0 ? '' : `; also ${image.others.join(', ')}`;
    lines.push({ text: `    image: ${scalar(image.text)}`, comment: `from ${placeOf(image.at)}${others}` });
  }
  if (calls.length > 0) lines.push({ text: '    calls:' }, ...calls.map(callLine));
  if (egress.length > 0) {
    lines.push({ text: '    egress:' });
    for (const { origin: address, from: source, at: place, remark } of egress) {
      lines.push({
        text: `      - ${scalar(address)}`,
        comment: `${origin(source, place)}${remark === undefined ? '' : `; ${remark}`}`,
      });
    }
  }
  return lines;
}

function listenComment(listen: DraftService['listen']): string {
  if (listen.isPortGuessed) return 'guess: no port in the manifests';
  const from = listen.at === undefined ? listen.from : origin(listen.from, listen.at);
  return listen.isProtocolGuessed ? `${from}; http is a guess` : from;
}

function callLine({ to, protocol, from, at }: DraftCall): Line {
  const narrow = protocol === 'tcp' ? '' : `; ${NARROW}`;
  return { text: `      ${scalar(to)}: ${CALLS[protocol]}`, comment: `${origin(from, at)}${narrow}` };
}

function origin(from: string, at: Position): string {
  return from.startsWith('as ') ? `${from}, ${placeOf(at)}` : `from ${from}, ${placeOf(at)}`;
}

function placeOf({ file, line }: Position): string {
  return `${plain(file)}:${line}`;
}

function render({ text, comment }: Line): string {
  if (comment === undefined) return text;
  return `${text.padEnd(COMMENT_COLUMN)}  # ${plain(comment, MAX_COMMENT)}`;
}

/** Quoted wherever YAML could read it as anything but this text. */
function scalar(text: string): string {
  const isPlain =
    /^[A-Za-z/][A-Za-z0-9._/@+*-]*(?::[A-Za-z0-9._/@+*-]+)*$/.test(text) ||
    /^https:\/\/[a-z0-9.-]+(?::\d+)?$/.test(text);
  const isWord = /^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text);
  return isPlain && !isWord ? text : JSON.stringify(text);
}
