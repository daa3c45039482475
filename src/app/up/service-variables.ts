import type { ServicePlacement } from '#domain/compile';
import { environmentName, originEnvironmentName } from '#domain/model';

/** Where a service reaches what it may call, as the variables that it is given. */
export function addressVariables({ outbound, egress }: ServicePlacement): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [callee, { host, port }] of outbound) {
    variables[`${environmentName(callee)}_URL`] = `http://${host}:${port}`;
    variables[`${environmentName(callee)}_ADDR`] = `${host}:${port}`;
  }
  for (const [origin, { host, port }] of egress) {
    variables[`${originEnvironmentName(origin)}_URL`] = `http://${host}:${port}`;
  }
  return variables;
}
