import { type Note, type Unit, plain } from '#domain/manifest';

/** `outside` means callers from outside of the system. */
const RESERVED = new Set(['outside']);

/** Gives every unit its name in the model: its own where that is free, else with its namespace or kind. */
export function nameUnits(units: readonly Unit[], notes: Note[]): ReadonlyMap<Unit, string> {
  const byName = new Map<string, Unit[]>();
  for (const unit of units) {
    const label = toLabel(unit.name);
    byName.set(label, [...(byName.get(label) ?? []), unit]);
  }
  const names = new Map<Unit, string>();
  const taken = new Set<string>();
  // Names that are nobody else's are given first, so that no made-up name takes them away.
  for (const [label, sharers] of byName) {
    const [only] = sharers;
    if (sharers.length > 1 || only === undefined || RESERVED.has(label)) continue;
    names.set(only, label);
    taken.add(label);
  }
  for (const [label, sharers] of byName) {
    const spaces = new Set(sharers.map(unit => unit.namespace));
    for (const unit of sharers) {
      if (names.has(unit)) continue;
      const isFirstOfSpace = sharers.find(other => other.namespace === unit.namespace) === unit;
      const inSpace = spaces.size > 1 ? toLabel(`${unit.namespace}-${unit.name}`) : label;
      const kind = unit.from.split(' ')[0] ?? 'service';
      const wanted = isFirstOfSpace && !RESERVED.has(inSpace) ? inSpace : toLabel(`${inSpace}-${kind}`);
      let name = wanted;
      for (let number = 2; taken.has(name); number++) name = toLabel(`${wanted.slice(0, 58)}-${number}`);
      names.set(unit, name);
      taken.add(name);
    }
  }
  for (const [unit, name] of names) {
    if (name === unit.name) continue;
    const where = unit.namespace === '' ? '' : ` of namespace ${plain(unit.namespace)}`;
    notes.push({ kind: 'name', message: `${unit.from}${where} is called ${name} in the model`, at: unit.at });
  }
  return names;
}

/** A DNS label (RFC 1123 §2.1): what a service of the model can be called. */
export function toLabel(text: string): string {
  const label = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63)
    .replace(/-+$/, '');
  return label === '' ? 'unnamed' : label;
}
