"""What one connection has received and websocket-client has not yet taken. rel's thread.

Not on the page: there each piece of a frame is a system call, and a piece that has not come holds up everything.
"""

import socket
import ssl

import websocket

READ_SIZE = 65536  # bytes


class Inbox:
    """Gives websocket-client the pieces of its frames from memory: never blocks, and asks the kernel once for many frames.

    The client reads a frame in two or three pieces, a system call each, and waits for pieces that have not come. `take`
    stands in for its `recv_strict`: where a piece has not all come yet, BlockingIOError takes the client back out, and it
    resumes in the middle of the frame at the next wake-up. No more than READ_SIZE at each wake-up keeps it fair.
    """

    def __init__(self, sock: socket.socket):
        sock.setblocking(False)
        self.raw = sock
        self._data = b""
        self._position = 0  # in _data: how much of it was taken
        self._pieces: list[bytes] = []  # instead of _data, while they are too few for what is wanted next
        self._ended = False
        self._allowed = 0  # bytes that may still be received at this wake-up

    def allow(self) -> None:
        """Receive up to READ_SIZE from now on: whoever calls this knows that the socket is readable."""
        self._allowed = READ_SIZE

    def end(self) -> None:
        """Let the next read find the end of the stream, whatever is still here: it came behind what has ended it."""
        self._ended = True
        self._data, self._position = b"", 0
        self._pieces.clear()

    def has_rest(self) -> bool:
        """Return whether something was received that nobody could take yet."""
        return bool(self._pieces) or self._position < len(self._data)

    def take(self, size: int) -> bytes:
        """Return the next bytes, exactly so many; BlockingIOError where they have not all come."""
        end = self._position + size
        if end > len(self._data):
            self._receive(size)
            end = size
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def _receive(self, size: int) -> None:
        if not self._ended and self._allowed <= 0:
            raise BlockingIOError
        try:
            received = b"" if self._ended else self.raw.recv(READ_SIZE)  # with TLS a whole record, so none is left in its buffer
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error  # as itself, websocket-client takes it for a loss
        if not received:
            raise websocket.WebSocketConnectionClosedException("Connection to remote host was lost.")
        # A plain socket has given all it had. TLS gives a record, often one frame: a wake-up each would cost more than the frame.
        self._allowed = self._allowed - len(received) if isinstance(self.raw, ssl.SSLSocket) else 0
        self._pieces += [self._data[self._position :], received]
        self._data, self._position = b"", 0
        if sum(map(len, self._pieces)) < size:
            raise BlockingIOError
        self._data = b"".join(self._pieces)
        self._pieces.clear()
