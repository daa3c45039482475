/**
 * The attack catalogue: hostile acts as data, aimed by the model at everything that it protects.
 *
 * An `Attack` says what it does, what must happen and which public knowledge it comes from; `aim` turns it into `Shot`s,
 * each with a probe and with the legitimate request on the same way (its positive control). Pure: `#service/prove`
 * fires. Nothing here aims at an address outside of the system under proof.
 */
export { CATALOGUE } from './catalogue.ts';
export { aimAll } from './aim.ts';
export { createField } from './field.ts';
export type { Terrain } from './field.ts';
export type {
  Attack,
  CertificateRecipe,
  Expectation,
  LedgerCheck,
  Message,
  Place,
  Probe,
  Shot,
  TlsRecipe,
  TokenRecipe,
  Variation,
} from './attack.ts';
