import { readFileSync } from 'node:fs';
import { call, expectReply } from '../kit/call.ts';
import { markup, money, type Html } from '../kit/html.ts';
import { Refusal } from '../kit/refusal.ts';
import { runService, type Answer } from '../kit/service.ts';

type Product = { id: string; name: string; description: string; cents: number };

/** Nothing but what this service itself serves; no inline script, no inline style, no frames (CSP Level 3). */
const SECURITY = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

const ASSETS: Readonly<Record<string, Answer>> = {
  'shop.css': asset('shop.css', 'text/css; charset=utf-8'),
  'shop.js': asset('shop.js', 'text/javascript; charset=utf-8'),
  'shop.svg': asset('shop.svg', 'image/svg+xml'),
};

runService({
  name: 'frontend',
  routes: {
    'GET /': async request => {
      const reply = await call('catalog', { method: 'GET', path: '/products' }, request);
      const products = expectReply(reply, 'catalog', 200)['products'] as Product[];
      return page('Boutique', markup`<ul class="products">${products.map(productCard)}</ul>`);
    },
    'GET /products/:id': async request => {
      const id = request.params['id'] ?? '';
      const isId = /^[a-z0-9-]{1,40}$/.test(id);
      const reply = isId
        ? await call('catalog', { method: 'GET', path: `/products/${id}` }, request)
        : undefined;
      if (reply === undefined || reply.status === 404) return { ...page('Not here', NOT_HERE), status: 404 };
      return productPage(expectReply(reply, 'catalog', 200) as Product);
    },
    'GET /login': () => page('Sign in', SIGN_IN),
    'GET /basket': () => page('Your cart', BASKET),
    'GET /receipt': () => page('Your order', RECEIPT),
    'GET /assets/:name': ({ params }) => {
      const name = params['name'] ?? '';
      const found = Object.hasOwn(ASSETS, name) ? ASSETS[name] : undefined;
      if (found === undefined) throw new Refusal(404, 'not-found', 'nothing here');
      return found;
    },
  },
});

const NOT_HERE = markup`<p>The shop has no such product. <a href="/">See what it has.</a></p>`;

const SIGN_IN = markup`<form id="sign-in" method="post" action="/login">
  <label>Name <input name="name" autocomplete="username" required maxlength="60"></label>
  <label>Password <input name="password" type="password" autocomplete="current-password" required maxlength="200"></label>
  <button>Sign in</button>
</form>`;

const BASKET = markup`<div id="cart"><p>Loading…</p></div>
<form id="checkout" hidden>
  <h2>Check out</h2>
  <label>Name <input name="recipient" autocomplete="name" required maxlength="100"></label>
  <label>Address <input name="address" autocomplete="street-address" required maxlength="300"></label>
  <label>Card number <input name="card" inputmode="numeric" autocomplete="cc-number" required maxlength="30"></label>
  <button>Pay and order</button>
</form>`;

const RECEIPT = markup`<div id="receipt"><p>Loading…</p></div>`;

function productCard({ id, name, cents }: Product): Html {
  return markup`
  <li><a href="/products/${id}">
    <span class="picture" aria-hidden="true">${name.slice(0, 1)}</span>
    <span>${name}</span>
    <span>${money(cents)}</span>
  </a></li>`;
}

function productPage({ id, name, description, cents }: Product): Answer {
  return page(
    name,
    markup`<p>${description}</p>
<p class="price">${money(cents)}</p>
<form id="add" data-product="${id}">
  <label>Quantity <input name="quantity" type="number" min="1" max="20" value="1" required></label>
  <button>Add to cart</button>
</form>`,
  );
}

function page(title: string, content: Html): Answer {
  const { text } = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="stylesheet" href="/assets/shop.css">
<link rel="icon" href="/assets/shop.svg">
<script src="/assets/shop.js" defer></script>
</head>
<body>
<header>
  <a href="/" class="brand">Boutique</a>
  <nav><a href="/basket">Cart</a> <a href="/login" id="who">Sign in</a></nav>
</header>
<main>
<h1>${title}</h1>
<p id="message" role="status" hidden></p>
${content}
<noscript><p>Signing in, the cart and the checkout need JavaScript.</p></noscript>
</main>
</body>
</html>
`;
  const headers = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-cache', ...SECURITY };
  return { status: 200, headers, body: text };
}

function asset(name: string, type: string): Answer {
  const body = readFileSync(new URL(`../assets/${name}`, import.meta.url));
  return {
    status: 200,
    headers: { 'content-type': type, 'cache-control': 'max-age=300', ...SECURITY },
    body,
  };
}
