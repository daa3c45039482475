const MAX_SHOWN = 80;

/**
 * Shows untrusted text inside a message: in backticks, control characters escaped, cut at 80 characters.
 * Never pass a token, key or password.
 */
export function quote(text: string): string {
  const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  return `\`${shown.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029`]/g, escapeUnit)}\``;
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
