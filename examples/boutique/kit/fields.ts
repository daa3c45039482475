import { Refusal } from './refusal.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A text of 1 to `max` characters without control characters. @throws {Refusal} 400 */
export function textField(fields: Fields, name: string, max: number): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new Refusal(400, 'bad-field', `${name} must be a text`);
  const text = value.trim();
  if (text === '' || text.length > max || /[\u0000-\u001f\u007f]/.test(text)) {
    throw new Refusal(400, 'bad-field', `${name} must have 1 to ${max} characters`);
  }
  return text;
}

/** A whole number within bounds. @throws {Refusal} 400 */
export function wholeField(fields: Fields, name: string, { min, max }: { min: number; max: number }): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new Refusal(400, 'bad-field', `${name} must be a whole number from ${min} to ${max}`);
  }
  return value;
}
