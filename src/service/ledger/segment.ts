import { join } from 'node:path';
import type { Files } from './files.ts';
import { parseLine, saltOf, type Line } from './line.ts';

/** One file of a line log: lines from `firstSeq` on, up to where the next segment begins. */
export type Segment = { readonly firstSeq: number; readonly epoch: string; readonly path: string };

const NAME = /^([0-9]{16})-([0-9a-f]{16})\.ndjson$/;
const CHUNK_BYTES = 1024 * 1024;

export function segmentAt(directory: string, firstSeq: number, epoch: string): Segment {
  return { firstSeq, epoch, path: join(directory, `${String(firstSeq).padStart(16, '0')}-${epoch}.ndjson`) };
}

/** The segments of a directory in order; other files are left alone. */
export async function listSegments(files: Files, directory: string): Promise<Segment[]> {
  const segments: Segment[] = [];
  for (const name of (await files.list(directory)).sort()) {
    const [, firstSeq, epoch] = NAME.exec(name) ?? [];
    if (firstSeq !== undefined && epoch !== undefined)
      segments.push(segmentAt(directory, Number(firstSeq), epoch));
  }
  return segments;
}

/** Where reading stopped, so that the next read need not start at the beginning of the file. */
export type Cursor = { readonly path: string; readonly seq: number; readonly offset: number };

export type SegmentRead = {
  /** One payload for each number from the start on; empty where the file has no intact line of that number. */
  readonly payloads: string[];
  readonly cursor: Cursor;
};

/**
 * Reads payloads of a segment.
 *
 * @param range `fromSeq` the first number wanted, `toSeq` one behind the last, `endBytes` where the valid file ends
 * @param bounds stops after this many payloads or characters
 */
export async function readSegment(
  files: Files,
  name: string,
  segment: Segment,
  range: { readonly fromSeq: number; readonly toSeq: number; readonly endBytes?: number },
  bounds: { readonly maxRecords: number; readonly maxChars: number },
  cursor?: Cursor,
): Promise<SegmentRead> {
  const payloads: string[] = [];
  let chars = 0;
  let next = range.fromSeq;
  let offset = cursor?.path === segment.path && cursor.seq === next ? cursor.offset : 0;
  const full = () => payloads.length >= bounds.maxRecords || chars >= bounds.maxChars || next >= range.toSeq;
  const skipTo = (seq: number) => {
    for (; next < seq && !full(); next += 1) payloads.push('');
  };
  for await (const { line, endOffset } of scanSegment(files, name, segment, offset, range.endBytes)) {
    if (full()) break;
    if (line !== undefined && line.seq >= next) {
      skipTo(Math.min(line.seq, range.toSeq));
      if (full()) break;
      payloads.push(line.payload);
      chars += line.payload.length;
      next += 1;
    }
    offset = endOffset;
  }
  skipTo(range.toSeq);
  return { payloads, cursor: { path: segment.path, seq: next, offset } };
}

type ScannedLine = { readonly line: Line | undefined; readonly endOffset: number };

/** Goes through the complete lines of a segment; lines that do not check come as `undefined`. */
async function* scanSegment(
  files: Files,
  name: string,
  segment: Segment,
  offset: number,
  endBytes = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<ScannedLine> {
  const salt = saltOf(name, segment.epoch);
  const file = await files.open(segment.path, 'read');
  try {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max((await file.size()) - offset, 1)));
    let position = offset;
    for (;;) {
      const wanted = Math.min(chunk.byteLength, endBytes - position);
      const read = wanted <= 0 ? 0 : await file.read(chunk.subarray(0, wanted), position);
      if (read === 0) return;
      let start = 0;
      for (let end = chunk.indexOf(10, 0); end >= 0 && end < read; end = chunk.indexOf(10, start)) {
        const line = parseLine(salt, chunk.toString('latin1', start, end));
        start = end + 1;
        yield { line, endOffset: position + start };
      }
      // A megabyte without a newline is no line of ours. What has no newline at the end of the file is a torn tail.
      if (start === 0 && read < chunk.byteLength) return;
      position += start === 0 ? read : start;
    }
  } finally {
    await file.close();
  }
}

/** The last intact line of a segment: its number, 0 without one, and where it ends. */
export async function findTail(
  files: Files,
  name: string,
  segment: Segment,
): Promise<{ seq: number; endOffset: number }> {
  let tail = { seq: 0, endOffset: 0 };
  for await (const { line, endOffset } of scanSegment(files, name, segment, 0)) {
    if (line !== undefined) tail = { seq: line.seq, endOffset };
  }
  return tail;
}
