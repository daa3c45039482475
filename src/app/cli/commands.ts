import type { Command } from 'commander';
import type { Finish } from './finish.ts';
import type { Io } from './io.ts';

export type CommandEntry = {
  readonly load: () => Promise<(io: Io, finish: Finish) => Command>;
  /** Not for people: left out of help. */
  readonly hidden?: true;
};

/** All commands, in the order of help. Each is loaded when it is called: `point` must stay small. */
export const COMMANDS: ReadonlyMap<string, CommandEntry> = new Map<string, CommandEntry>([
  ['init', { load: async () => (await import('./init-command.ts')).initCommand }],
  ['import', { load: async () => (await import('./import-command.ts')).importCommand }],
  ['check', { load: async () => (await import('./check-command.ts')).checkCommand }],
  ['explain', { load: async () => (await import('./explain-command.ts')).explainCommand }],
  ['plan', { load: async () => (await import('./plan-command.ts')).planCommand }],
  ['up', { load: async () => (await import('./up-command.ts')).upCommand }],
  ['apply', { load: async () => (await import('./apply-command.ts')).applyCommand }],
  ['status', { load: async () => (await import('./status-command.ts')).statusCommand }],
  ['revoke', { load: async () => (await import('./revoke-command.ts')).revokeCommand }],
  ['restore', { load: async () => (await import('./restore-command.ts')).restoreCommand }],
  ['prove', { load: async () => (await import('./prove-command.ts')).proveCommand }],
  ['audit', { load: async () => (await import('./audit-command.ts')).auditCommand }],
  ['token', { load: async () => (await import('./token-command.ts')).tokenCommand }],
  ['point', { load: async () => (await import('./point-command.ts')).pointCommand, hidden: true }],
]);
