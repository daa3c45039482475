import {
  type Lookup,
  type Part,
  type Setting,
  argumentSettings,
  expand,
  plain,
  settingsOfFile,
  settingsOfText,
} from '#domain/manifest';
import { environmentOf } from './compose-environment.ts';

/** Everything that configures a Compose service: environment, command, entrypoint and configs with inline content. */
export function composeSettings(
  part: Part,
  configs: ReadonlyMap<string, Part>,
  lookup: Lookup,
): readonly Setting[] {
  const found: Setting[] = [];
  for (const [name, value] of environmentOf(part, lookup)) {
    if (value === undefined) continue;
    found.push(...settingsOfText(`environment ${plain(name)}`, name, value.text, value.part.locator()));
  }
  for (const from of ['command', 'entrypoint'] as const) {
    const written = part.at(from);
    const text = written.text();
    const words =
      text === undefined
        ? written.items().map(item => ({ text: item.text() ?? '', part: item }))
        : wordsOfCommand(text, written);
    found.push(
      ...argumentSettings(
        from,
        words.map(word => ({ text: expand(word.text, lookup, 'all'), locate: word.part.locator() })),
      ),
    );
  }
  for (const use of part.at('configs').items()) {
    const name = use.text() ?? use.at('source').text() ?? '';
    const content = configs.get(name)?.at('content');
    const text = content?.text();
    if (content === undefined || text === undefined) continue;
    found.push(...settingsOfFile(`config ${plain(name)}`, expand(text, lookup, 'all'), content.locator()));
  }
  return found;
}

/** A command in one line is split like a shell would; scripts stay whole, to be read as scripts. */
function wordsOfCommand(text: string, part: Part): { text: string; part: Part }[] {
  if (/[\n;&|]/.test(text)) return [{ text, part }];
  return (text.match(/"[^"]*"|'[^']*'|\S+/g) ?? []).map(word => ({
    text: word.replace(/^["']|["']$/g, ''),
    part,
  }));
}
