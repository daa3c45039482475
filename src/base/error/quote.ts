const MAX_SHOWN = 80;

/**
 * Shows untrusted text inside a message: in backticks, cut at 80 characters; what would steer a terminal or turn the
 * direction of writing (CVE-2021-42574) is escaped.
 * Never pass a token, key or password.
 */
export function quote(text: string): string {
  const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  return `\`${shown.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069`]/g, escapeUnit)}\``;
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
