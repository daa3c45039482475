import type { Socket } from 'node:net';

/**
 * Closes a connection with all that waits in it. After `destroy` alone the kernel still sends what it was given (Linux:
 * up to `tcp_wmem`, 4 MB); after a reset the peer gets what its kernel has acknowledged by then, and nothing else.
 *
 * @param carrier the TCP socket that carries `socket`, or `socket` itself; `undefined` where Node keeps it to itself
 */
export function reset(socket: Socket, carrier: Socket | undefined): void {
  // libuv resets no socket whose end is on its way, and Node would lose its handle in trying.
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (carrier?.destroyed === false && !isEnding) carrier.resetAndDestroy();
  socket.destroy();
}

/** Calls `end` once all that was written has left the process: a socket that ends later can be reset until then. */
export function afterWrites(socket: Socket, end: () => void): void {
  if (socket.writableLength === 0 || socket.writableEnded) end();
  else socket.write('', end);
}
