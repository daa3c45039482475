/** What a record may say of a fault of ours: its message may hold a peer's bytes. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'not an error';
}
