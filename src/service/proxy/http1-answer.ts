import {
  encodeChunkHead,
  encodeLastChunk,
  encodeResponseHead,
  type Framing,
  type HeaderList,
} from '#domain/http';
import type { Answer, AnswerHead } from './answer.ts';
import { AnswerWriter } from './answer-writer.ts';

/** An answer in HTTP/1.1. */
export class Http1Answer extends AnswerWriter implements Answer {
  #framing: Framing['kind'] = 'none';

  head(head: AnswerHead): void {
    this.#framing = head.framing.kind;
    this.push(encodeResponseHead(head));
  }

  content(chunk: Buffer): void {
    if (this.#framing !== 'chunked') {
      this.pushContent(chunk);
      return;
    }
    this.push(encodeChunkHead(chunk.length));
    this.pushContent(chunk);
    this.push('\r\n');
  }

  last(trailers: HeaderList | undefined): void {
    if (this.#framing === 'chunked') this.push(encodeLastChunk(trailers));
  }
}
