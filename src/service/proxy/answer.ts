import type { Framing, HeaderList } from '#domain/http';

export type AnswerHead = {
  readonly status: number;
  readonly headers: HeaderList;
  /** Of what follows, for protocols that write it. */
  readonly framing: Framing;
  /** Whether the connection may serve another request. */
  readonly keepAlive: boolean;
};

/**
 * An answer on its way to a caller, in the caller's protocol: a head, content, and an end. Nothing leaves before `flush`
 * or `end`.
 */
export interface Answer {
  /** Whether anything has left: from here on the answer cannot be replaced by another. */
  readonly begun: boolean;
  /** Lets no caller have the whole content before `end`. @param bytes up to which all of it is held back */
  hold(bytes: number): void;
  head(head: AnswerHead): void;
  content(chunk: Buffer): void;
  /** All content was given. */
  last(trailers: HeaderList | undefined): void;
  /** Sends what may leave now. @returns whether the caller keeps up */
  flush(): boolean;
  /** Sends all. */
  end(): void;
  /** Forgets what has not left. */
  clear(): void;
}
