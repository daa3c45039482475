import { Command } from 'commander';
import { proveCommand, verifyCommand, verifyProofCommand } from './audit-evidence.ts';
import { searchCommand, tailCommand } from './audit-records.ts';
import type { Finish } from './finish.ts';
import type { Io } from './io.ts';

/** `ringwall audit`: what the ledger holds, and whether it is whole. */
export function auditCommand(io: Io, finish: Finish): Command {
  return new Command('audit')
    .description('read the ledger of all transactions, and prove that nobody has changed it')
    .addCommand(tailCommand(io, finish))
    .addCommand(searchCommand(io, finish))
    .addCommand(verifyCommand(io, finish))
    .addCommand(proveCommand(io, finish))
    .addCommand(verifyProofCommand(io, finish))
    .addHelpText(
      'after',
      `
Examples:
  ringwall audit tail -f
  ringwall audit search --service payment --decision refused --since 1h
  ringwall audit verify
  ringwall audit prove 0b1e1a3c-6b7a-4c8e-9a3b-2d1f0c9b8a70 -o request.tlog-proof`,
    );
}
