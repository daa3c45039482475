import { LineCounter, parseAllDocuments, type Document } from 'yaml';
import type { Position } from '#domain/model';
import { Part } from './part.ts';
import { plain } from './plain.ts';

/** One manifest file, or standard input. */
export type SourceText = {
  /** As the user can open it; problems are told with it. */
  readonly path: string;
  /** Short, for comments in the model: relative to the folder that was named. */
  readonly name: string;
  readonly text: string;
};

/** Input that could not be read; the rest of the input counts all the same. */
export type ImportProblem = { readonly message: string; readonly at: Position };

export type ReadDocuments = {
  readonly documents: readonly Part[];
  readonly problems: readonly ImportProblem[];
};

/** The yaml library reports these and still gives the whole document; Kubernetes and Compose accept such files, too. */
const HARMLESS = new Set(['DUPLICATE_KEY']);

/**
 * Reads every YAML (or JSON) document of `source`. A broken document is a problem and hides no other: a document
 * marker ends whatever was open before it (YAML 1.2.2 §9.1.2), so the text is cut there before it is parsed.
 */
export function readDocuments(source: SourceText): ReadDocuments {
  const documents: Part[] = [];
  const problems: ImportProblem[] = [];
  for (const { text, line } of cutAtMarkers(source.text.replace(/^\uFEFF/, ''))) {
    const counter = new LineCounter();
    const origin = { source, counter, firstLine: line, text };
    for (const document of parse(text, counter)) {
      const fault = document.errors.find(error => !HARMLESS.has(error.code)) ?? document.errors[0];
      if (fault !== undefined) {
        const { line: lineInText, col } = counter.linePos(fault.pos[0]);
        const at = { file: source.path, line: line + lineInText - 1, column: col };
        problems.push({ message: explain(fault.message, text), at });
        if (!HARMLESS.has(fault.code)) continue;
      }
      if (document.contents !== null) documents.push(new Part(document.contents, document, origin));
    }
  }
  return { documents, problems };
}

function parse(text: string, lineCounter: LineCounter): readonly Document.Parsed[] {
  const documents = parseAllDocuments(text, { lineCounter, merge: true, prettyErrors: false });
  return Array.isArray(documents) ? documents : [];
}

function explain(message: string, text: string): string {
  const first = plain(message.split('\n')[0] ?? '');
  const told = `not YAML: ${first.slice(0, 1).toLowerCase()}${first.slice(1)}`;
  return /\{\{/.test(text)
    ? `${told}; this is a template: import what \`helm template\` renders from it`
    : told;
}

function cutAtMarkers(text: string): { text: string; line: number }[] {
  const pieces: { text: string; line: number }[] = [];
  let piece: string[] = [];
  let firstLine = 1;
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    // Directives (`%YAML 1.2`) belong to the document whose marker follows them.
    if (/^---(?:\s|$)/.test(line) && piece.some(earlier => !/^(?:%.*|\s*(?:#.*)?)$/.test(earlier))) {
      pieces.push({ text: piece.join('\n'), line: firstLine });
      piece = [];
      firstLine = index + 1;
    }
    piece.push(line);
  }
  pieces.push({ text: piece.join('\n'), line: firstLine });
  return pieces;
}
