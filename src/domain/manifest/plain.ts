const MAX_WORD = 160;

/**
 * Makes text from a manifest fit for one line of a comment or message: printable, on one line, cut.
 * @param maxLength in UTF-16 units
 */
export function plain(text: string, maxLength: number = MAX_WORD): string {
  const line = text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffc-\uffff\ud800-\udfff]+/g,
    ' ',
  );
  return line.length > maxLength ? `${line.slice(0, maxLength)}…` : line;
}
