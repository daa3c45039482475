/**
 * The gateway: the one way in from outside. TLS, hosts and routes, callers by token or anonymous id, limits and
 * lockouts, and from there by mTLS to the services that the routes name.
 *
 * Decides by its bundle only, and serves nothing without one. UNTRUSTED: everything from outside; the answers of
 * services, too. How bundles and certificates come here is the business of `#service/point`.
 */
export { createGateway } from './gateway.ts';
export type { Gateway } from './gateway.ts';
