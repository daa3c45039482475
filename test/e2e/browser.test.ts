import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { ReadyFile } from '#app/up';
import { findBrowser, Page } from './browser.ts';
import { endAll, freePort, start, whenReady } from './up-lab.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/boutique', import.meta.url));
const program = findBrowser();
const folder = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-browser-')));
after(async () => {
  await endAll();
  await rm(folder, { recursive: true, force: true });
});

test(
  'a browser walks through the shop behind its walls: looks, signs in, fills the cart, pays',
  { skip: program === undefined && 'no Chromium here (Debian: apt-get install chromium)', timeout: 120_000 },
  async t => {
    if (program === undefined) return;
    const ready = await startShop();
    const { port } = new URL(ready.gateway);
    const shop = `https://shop.localhost:${port}`;
    const page = await Page.open(program, {
      profile: join(folder, 'profile'),
      trusts: await keyOf(ready, Number(port)),
    });
    t.after(() => page.close());

    await page.visit(`${shop}/`);
    await page.until('document.querySelectorAll(".products li").length > 3');
    await page.until('getComputedStyle(document.querySelector("ul.products")).display === "grid"');

    await page.click('.products a[href="/products/mug"]');
    await page.until('location.pathname === "/products/mug"');
    await page.fill('quantity', '2');
    await page.click('#add button');
    // Only a user has a cart.
    await page.until('location.pathname === "/login"');
    await page.fill('name', 'alice');
    await page.fill('password', 'wrong');
    await page.click('#sign-in button');
    await page.until('/name or password is wrong/.test(document.querySelector("#message").innerText)');
    await page.fill('password', 'wonderland');
    await page.click('#sign-in button');

    await page.until('location.pathname === "/products/mug"');
    await page.until('document.querySelector("#who").innerText === "Sign out alice"');
    await page.fill('quantity', '2');
    await page.click('#add button');
    await page.until(
      'location.pathname === "/basket" && /Stoneware mug/.test(document.querySelector("#cart").innerText)',
    );
    assert.match(
      String(await page.value('document.querySelector("#cart").innerText')),
      /2 × € 18\.50\s+€ 37\.00/,
    );

    await page.visit(`${shop}/products/soap`);
    await page.click('#add button');
    await page.until('location.pathname === "/basket" && document.querySelectorAll("#cart tr").length === 3');
    await page.click('#cart tr:nth-child(2) button');
    await page.until('document.querySelectorAll("#cart tr").length === 2');

    await page.fill('recipient', 'Alice');
    await page.fill('address', '1 Looking Glass Lane');
    await page.fill('card', '4000 0000 0000 0002');
    await page.click('#checkout button');
    await page.until('/declined/.test(document.querySelector("#message").innerText)');
    await page.fill('card', '4242 4242 4242 4242');
    await page.click('#checkout button');
    await page.until('location.pathname === "/receipt"');
    await page.until(
      '/is paid with the card ending in 4242/.test(document.querySelector("#receipt").innerText)',
    );

    await page.visit(`${shop}/basket`);
    await page.until('/The cart is empty/.test(document.querySelector("#cart").innerText)');
    await page.click('#who');
    await page.until('location.pathname === "/" && document.querySelector("#who").innerText === "Sign in"');
    // Two answers were meant to be errors; nothing else is amiss, such as a script that the policy of the page forbids.
    const statuses = page.complaints.map(complaint => /status of (\d+)/.exec(complaint)?.[1] ?? complaint);
    assert.deepEqual(statuses, ['401', '402']);
  },
);

async function startShop(): Promise<ReadyFile> {
  const directory = join(folder, 'shop');
  await cp(EXAMPLE, directory, { recursive: true, filter: path => !path.endsWith('/data') });
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }\n');
  const model = await readFile(join(directory, 'ringwall.yaml'), 'utf8');
  await writeFile(join(directory, 'ringwall.yaml'), model.replaceAll('4445', String(await freePort())));
  const run = await start(directory, ['--port', String(await freePort())]);
  return whenReady(run, directory);
}

/** What a browser is to trust: the key of the certificate that the gateway shows, after it was verified. */
async function keyOf(ready: ReadyFile, port: number): Promise<string> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: 'shop.localhost',
    ca: await readFile(ready.ca, 'utf8'),
  });
  await once(socket, 'secureConnect');
  const { pubkey } = socket.getPeerCertificate();
  const spki = socket.getPeerX509Certificate()?.publicKey.export({ format: 'der', type: 'spki' });
  socket.destroy();
  return createHash('sha256')
    .update(spki ?? pubkey ?? assert.fail())
    .digest('base64');
}
