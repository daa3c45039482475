import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A browser without a window, driven over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/). */

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const ANSWER_WITHIN_MS = 20_000;
const POLL_MS = 50;

/** The program of a browser that is installed here; `undefined` when there is none. */
export function findBrowser(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':');
  return NAMES.flatMap(name => folders.map(folder => join(folder, name))).find(file => existsSync(file));
}

type Message = {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
};

/** One page of a browser. */
export class Page {
  /** What went wrong on it: errors of its scripts and complaints of the browser, such as those of its security policy. */
  readonly complaints: string[] = [];
  readonly #browser: ChildProcess;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #session: string | undefined;
  #lastId = 0;

  private constructor(browser: ChildProcess, socket: WebSocket) {
    this.#browser = browser;
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#take(JSON.parse(String(data)) as Message));
  }

  /**
   * @param options.profile a folder for what it keeps
   * @param options.trusts the key of the only certificate that it takes besides those of public authorities: the
   *   SHA-256 of its SPKI, in base64
   */
  static async open(
    program: string,
    options: { readonly profile: string; readonly trusts: string },
  ): Promise<Page> {
    const browser = spawn(
      program,
      [
        '--headless',
        // Its sandbox refuses root; it opens nothing but what stands here.
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--remote-debugging-port=0',
        `--user-data-dir=${options.profile}`,
        `--ignore-certificate-errors-spki-list=${options.trusts}`,
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: options.profile }, detached: true },
    );
    const socket = new WebSocket(await addressOf(browser));
    await once(socket, 'open');
    const page = new Page(browser, socket);
    const { targetInfos } = (await page.#send('Target.getTargets')) as {
      targetInfos: { targetId: string; type: string }[];
    };
    const target = targetInfos.find(({ type }) => type === 'page');
    const { sessionId } = (await page.#send('Target.attachToTarget', {
      targetId: target?.targetId,
      flatten: true,
    })) as { sessionId: string };
    page.#session = sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.#send(`${domain}.enable`);
    return page;
  }

  async visit(url: string): Promise<void> {
    const { errorText } = (await this.#send('Page.navigate', { url })) as { errorText?: string };
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
  }

  /** The value of an expression on the page. */
  async value(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = (await this.#send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })) as { result: { value?: unknown }; exceptionDetails?: { text: string } };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${exceptionDetails.text}`);
    return result.value;
  }

  /** Polls, over changes of the page, until an expression is true. */
  async until(expression: string): Promise<void> {
    const end = performance.now() + ANSWER_WITHIN_MS;
    while ((await this.value(`Boolean(${expression})`).catch(() => false)) !== true) {
      if (performance.now() > end) {
        const text = await this.value('location.href + "\\n" + document.body.innerText');
        throw new Error(
          `it did not come to \`${expression}\`:\n${String(text)}\n${this.complaints.join('\n')}`,
        );
      }
      await new Promise(resolve => setTimeout(resolve, POLL_MS));
    }
  }

  /** Types into the field of this name, as a user does. */
  async fill(name: string, text: string): Promise<void> {
    const field = `document.querySelector('[name=${name}]')`;
    await this.until(`${field}?.offsetParent`);
    await this.value(`${field}.select()`);
    await this.#send('Input.insertText', { text });
  }

  /** Clicks with the mouse in the middle of what the selector finds. */
  async click(selector: string): Promise<void> {
    const found = `document.querySelector(${JSON.stringify(selector)})`;
    await this.until(`${found}?.offsetParent`);
    const { x, y } = (await this.value(
      `(({ left, top, width, height }) => ({ x: left + width / 2, y: top + height / 2 }))((() => { const e = ${found}; e.scrollIntoView({ block: 'center' }); return e.getBoundingClientRect(); })())`,
    )) as { x: number; y: number };
    const mouse = { x, y, button: 'left', clickCount: 1 };
    await this.#send('Input.dispatchMouseEvent', { ...mouse, type: 'mousePressed' });
    await this.#send('Input.dispatchMouseEvent', { ...mouse, type: 'mouseReleased' });
  }

  async close(): Promise<void> {
    const ended = once(this.#browser, 'exit');
    await this.#send('Browser.close').catch(() => {});
    await ended;
  }

  #send(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), ANSWER_WITHIN_MS);
    this.#waiting.set(id, ({ error, result }) => {
      clearTimeout(timer);
      if (error === undefined) resolve(result);
      else reject(new Error(`${method}: ${error.message}`));
    });
    this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }));
    return promise;
  }

  #take(message: Message): void {
    if (message.id !== undefined) {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
      return;
    }
    const complaint = complaintOf(message);
    if (complaint !== undefined) this.complaints.push(complaint);
  }
}

function complaintOf({ method, params }: Message): string | undefined {
  if (method === 'Runtime.exceptionThrown') return JSON.stringify(params?.['exceptionDetails']);
  if (method !== 'Log.entryAdded' || params === undefined) return undefined;
  const { level, text, url } = params['entry'] as { level: string; text: string; url?: string };
  return level === 'error' || level === 'warning' ? `${level}: ${text} (${url ?? ''})` : undefined;
}

async function addressOf(browser: ChildProcess): Promise<string> {
  const said: string[] = [];
  if (browser.stderr === null) throw new TypeError('its errors are not read');
  for await (const line of createInterface({ input: browser.stderr })) {
    const address = /^DevTools listening on (ws:\S+)$/.exec(line)?.[1];
    if (address !== undefined) {
      browser.stderr.resume();
      return address;
    }
    said.push(line);
  }
  throw new Error(`the browser ended: ${said.join('\n')}`);
}
