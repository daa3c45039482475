/**
 * What every kind of manifest has in common: YAML read into parts that know their line, texts read as settings, and the
 * `Landscape`, the one shape into which each reader (`#domain/read-kubernetes`, `#domain/read-compose`) brings its format.
 *
 * UNTRUSTED: every manifest. Any shape can stand anywhere; sizes, nesting and aliases are bounded; nothing throws.
 * What a Secret or a password holds stays inside: names and hosts come out, values do not.
 *
 * Standards: YAML 1.2.2.
 */
export { argumentSettings, settingsOfFile, settingsOfText } from './command-settings.ts';
export { expand } from './expand.ts';
export type { Lookup } from './expand.ts';
export type { Door, Landscape, Names, NameTarget, Note, NoteKind, Unit, Way } from './landscape.ts';
export type { Part } from './part.ts';
export { plain } from './plain.ts';
export { isSideDoor, knownImage, protocolOfPort, protocolOfPortName, protocolOfScheme } from './protocols.ts';
export { isNotAboutOthers, looksLikeAddress, UNKNOWN } from './setting.ts';
export type { Locate, Setting } from './setting.ts';
export { readDocuments } from './source.ts';
export type { ImportProblem, SourceText } from './source.ts';
