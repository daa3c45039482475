import { randomBytes, randomUUID } from 'node:crypto';
import { HeaderList, type RequestHead } from '#domain/http';
import { continueTrace, readTrace, startTrace, type TraceContext } from '#domain/trace';

/** A request as it was received: its head, when it began, and the ids under which it is recorded. */
export type Intake = {
  readonly head: RequestHead;
  /** Wall clock at the first byte. */
  readonly timeMs: number;
  /** Monotonic, at the first byte. */
  readonly startedMs: number;
  /** UUID, the same on every hop. */
  readonly requestId: string;
  /** With this hop as the sender: for the callee. */
  readonly trace: TraceContext;
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TRACE_DIGITS = 48;
/** Random digits are drawn in bulk. */
const DRAWN_TRACES = 256;

/** Gives requests their ids. */
export class Reception {
  #digits = '';
  #used = 0;

  /** @param believed whether the caller is a part of the system, whose request id goes on */
  takeIn(head: RequestHead, believed: boolean, timeMs: number, startedMs: number): Intake {
    const { headers } = head;
    const given = believed ? headers.get('x-request-id') : undefined;
    const requestId = given !== undefined && UUID.test(given) ? given : randomUUID();
    const parent = readTrace(headers.get('traceparent'), headers.get('tracestate'));
    const random = this.#draw();
    const trace = parent === undefined ? startTrace(random) : continueTrace(parent, random);
    return { head, timeMs, startedMs, requestId, trace };
  }

  /** Stands for a request whose head could not be read: `shown` is what of it goes into the record. */
  takeInUnread(shown: string, timeMs: number, startedMs: number): Intake {
    return this.takeIn({ ...UNREAD, rawPath: shown, headers: new HeaderList() }, false, timeMs, startedMs);
  }

  #draw(): string {
    if (this.#used === this.#digits.length) {
      this.#digits = randomBytes((DRAWN_TRACES * TRACE_DIGITS) / 2).toString('hex');
      this.#used = 0;
    }
    this.#used += TRACE_DIGITS;
    return this.#digits.slice(this.#used - TRACE_DIGITS, this.#used);
  }
}

const UNREAD = {
  method: '',
  target: '',
  rawQuery: '',
  authority: '',
  host: '',
  version: '1.1',
  framing: { kind: 'none' },
  keepAlive: false,
  expectContinue: false,
  upgrade: undefined,
} as const;
