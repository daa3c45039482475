/**
 * The stem of the variables that tell a service where it reaches a callee: `product-catalog` → `PRODUCT_CATALOG`,
 * for `PRODUCT_CATALOG_URL` and `PRODUCT_CATALOG_ADDR`.
 */
export function environmentName(callee: string): string {
  const name = callee.toUpperCase().replace(/[^A-Z0-9]/g, '_');
  // POSIX.1-2024 §8.1: names do not begin with a digit.
  return /^[0-9]/.test(name) ? `_${name}` : name;
}

/** The same for an origin outside: `https://bank.example` → `BANK_EXAMPLE`; a port that is not the scheme's is kept. */
export function originEnvironmentName(origin: string): string {
  const { hostname, port } = new URL(origin);
  return environmentName(port === '' ? hostname : `${hostname}_${port}`);
}
