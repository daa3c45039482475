import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * Closes a connection with all that waits in it. After `destroy` alone the kernel still sends what it was given (Linux:
 * up to `tcp_wmem`, 4 MB); after a reset the peer gets what its kernel has acknowledged by then, and nothing else.
 *
 * By TLS it is a close: Node 24 crashes when the socket below is reset at the wrong moment, as in the event that ends the
 * handshake.
 */
export function reset(socket: Socket): void {
  // libuv resets no socket whose end is on its way, and Node would lose its handle in trying.
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (isEnding || socket.destroyed || socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}

/** Calls `end` once all that was written has left the process: a socket that ends later can be reset until then. */
export function afterWrites(socket: Socket, end: () => void): void {
  if (socket.writableLength === 0 || socket.writableEnded) end();
  else socket.write('', end);
}
