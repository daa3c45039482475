// The access token stays in this tab, and goes out only in the Authorization header of calls to the shop itself.
const session = {
  token: () => sessionStorage.getItem('token'),
  name: () => sessionStorage.getItem('name'),
  begin: ({ access_token, name }) => {
    sessionStorage.setItem('token', access_token);
    sessionStorage.setItem('name', name);
  },
  end: () => sessionStorage.clear(),
};

const byId = id => document.getElementById(id);

/** An element with its children; texts become text nodes, never markup. */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const money = cents => `€ ${(cents / 100).toFixed(2)}`;

function say(text) {
  const message = byId('message');
  message.textContent = text;
  message.hidden = text === '';
}

function signInFirst() {
  session.end();
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** Calls the shop for the signed-in user. Gives undefined after it has told the user why not. */
async function ask(method, path, body) {
  if (session.token() === null) return signInFirst();
  const headers = { accept: 'application/json', authorization: `Bearer ${session.token()}` };
  const request = { method, headers };
  if (body !== undefined) {
    headers['content-type'] = 'application/json';
    request.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, request);
  } catch {
    return say('The shop does not answer. Try again.');
  }
  if (answer.status === 401) return signInFirst();
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const wait = answer.headers.get('retry-after');
  say(
    `${said.detail ?? said.title ?? 'That did not work'}${wait === null ? '' : ` (try again in ${wait} s)`}`,
  );
}

function showCart(cart) {
  const rows = cart.lines.map(({ product, name, cents, quantity }) =>
    element(
      'tr',
      {},
      element('td', {}, element('a', { href: `/products/${encodeURIComponent(product)}` }, name)),
      element('td', {}, `${quantity} × ${money(cents)}`),
      element('td', {}, money(cents * quantity)),
      element(
        'td',
        {},
        element(
          'button',
          { onclick: () => change('DELETE', `/cart/items/${encodeURIComponent(product)}`) },
          'Remove',
        ),
      ),
    ),
  );
  const total = element(
    'tr',
    {},
    element('th', {}, 'Total'),
    element('td', {}),
    element('th', {}, money(cart.cents)),
  );
  const content =
    rows.length === 0 ? element('p', {}, 'The cart is empty.') : element('table', {}, ...rows, total);
  byId('cart').replaceChildren(content);
  byId('checkout').hidden = rows.length === 0;
}

async function change(method, path, body) {
  const cart = await ask(method, path, body);
  if (cart !== undefined) showCart(cart);
}

function showReceipt({ id, lines, shippingCents, cents, last4, tracking, days }) {
  byId('receipt').replaceChildren(
    element('p', {}, `Thank you. Order ${id} is paid with the card ending in ${last4}.`),
    element(
      'table',
      {},
      ...lines.map(line =>
        element(
          'tr',
          {},
          element('td', {}, `${line.quantity} × ${line.name}`),
          element('td', {}, money(line.cents * line.quantity)),
        ),
      ),
      element('tr', {}, element('td', {}, 'Shipping'), element('td', {}, money(shippingCents))),
      element('tr', {}, element('th', {}, 'Paid'), element('th', {}, money(cents))),
    ),
    element('p', {}, `Parcel ${tracking} arrives in ${days} days.`),
  );
}

async function signIn(form) {
  const { name, password } = Object.fromEntries(new FormData(form));
  const answer = await fetch('/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ name, password }),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) return say(said.detail ?? 'That did not work');
  session.begin(said);
  const next = new URLSearchParams(location.search).get('next') ?? '/';
  // Only back into the shop: `//elsewhere` and `https://elsewhere` are not paths.
  const target = new URL(next, location.origin);
  location.assign(target.origin === location.origin ? target.pathname + target.search : '/');
}

function onSubmit(id, handle) {
  byId(id)?.addEventListener('submit', event => {
    event.preventDefault();
    say('');
    void handle(event.target);
  });
}

if (session.name() !== null) {
  byId('who').textContent = `Sign out ${session.name()}`;
  byId('who').addEventListener('click', event => {
    event.preventDefault();
    session.end();
    location.assign('/');
  });
}
onSubmit('sign-in', signIn);
onSubmit('add', async form => {
  const quantity = Number(new FormData(form).get('quantity'));
  const cart = await ask('POST', '/cart/items', { product: form.dataset.product, quantity });
  if (cart !== undefined) location.assign('/basket');
});
onSubmit('checkout', async form => {
  const order = await ask('POST', '/orders', Object.fromEntries(new FormData(form)));
  if (order !== undefined) location.assign(`/receipt?order=${encodeURIComponent(order.id)}`);
});
if (byId('cart') !== null) void change('GET', '/cart');
if (byId('receipt') !== null) {
  const id = new URLSearchParams(location.search).get('order') ?? '';
  void ask('GET', `/orders/${encodeURIComponent(id)}`).then(
    order => order !== undefined && showReceipt(order),
  );
}
