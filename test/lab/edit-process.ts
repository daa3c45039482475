import { editProcess, type Edit } from './load-edited.ts';

// For `node --import`: a whole program with edits, its child processes without.
editProcess(JSON.parse(process.env['RINGWALL_LAB_EDITS'] ?? '[]') as readonly Edit[]);
