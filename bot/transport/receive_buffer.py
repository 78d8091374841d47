"""Bytes that one connection has received and websocket-client has not read yet. Main thread.

Not on the page. There, each piece of a frame is a system call, and a piece that is late blocks everything.
"""

import socket
import ssl

import websocket

READ_SIZE = 65536  # bytes per wake-up, so that no stream starves the others
MAX_FRAME_SIZE = 2**26  # bytes; the largest real frames have a few ten thousand


class FrameTooLargeError(Exception):
    """A frame that announces more than MAX_FRAME_SIZE bytes."""


class ReceiveBuffer:
    """Gives websocket-client the pieces of its frames from memory. It never blocks, and asks the kernel once for many frames.

    The client reads a frame in two or three pieces, with a system call for each. `read_exactly` stands in for its
    `recv_strict`. When a piece is incomplete, BlockingIOError leaves the client, and the next wake-up resumes inside the frame.
    """

    def __init__(self, sock: socket.socket):
        sock.setblocking(False)
        self.raw = sock
        self.frame_bytes = 0  # read of the frame that is not complete yet
        self._data = b""
        self._position = 0  # how much of _data was read
        self._pieces: list[bytes] = []  # instead of _data, while they are too few for the next piece
        self._pieces_size = 0  # bytes in _pieces: to add them up again for each would take minutes in a large frame
        self._ended = False
        self._quota = 0  # bytes that may still be received at this wake-up

    def grant_quota(self) -> None:
        """Allow another READ_SIZE bytes. The caller knows that the socket is readable."""
        self._quota = READ_SIZE

    def close(self) -> None:
        """Discard what was received, and let the next read find the end of the stream."""
        self._ended = True
        self._data, self._position = b"", 0
        self._pieces.clear()
        self._pieces_size = 0

    def end_frame(self) -> None:
        """Note that a whole frame was read."""
        if self.frame_bytes > READ_SIZE:  # do not keep it in memory until the next one
            self._data, self._position = self._data[self._position :], 0
        self.frame_bytes = 0

    def has_unread(self) -> bool:
        """Return whether bytes have arrived that websocket-client has not read."""
        return bool(self._pieces) or self._position < len(self._data)

    def has_partial_frame(self) -> bool:
        """Return whether a frame has begun to arrive and is not complete."""
        return self.frame_bytes > 0 or self.has_unread()

    def read_exactly(self, size: int) -> bytes:
        """Return the next `size` bytes.

        Raises:
            BlockingIOError: they have not all arrived.
            FrameTooLargeError: the frame would exceed MAX_FRAME_SIZE.
            WebSocketConnectionClosedException: the node closed the connection.
        """
        if self.frame_bytes + size > MAX_FRAME_SIZE:
            raise FrameTooLargeError(f"a frame of {self.frame_bytes + size} bytes is too large")
        end = self._position + size
        if end > len(self._data):
            self._receive(size)
            end = size
        piece = self._data[self._position : end]
        self._position = end
        self.frame_bytes += size
        return piece

    def _receive(self, size: int) -> None:
        if not self._ended and self._quota <= 0:
            raise BlockingIOError
        try:
            received = b"" if self._ended else self.raw.recv(READ_SIZE)  # with TLS a whole record: none stays in its buffer
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error  # websocket-client takes the original for a lost connection
        if not received:
            raise websocket.WebSocketConnectionClosedException("closed without a close frame")
        # A plain socket has given all it had. TLS gives one record, often one frame, and a wake-up each would cost more than it.
        self._quota = self._quota - len(received) if isinstance(self.raw, ssl.SSLSocket) else 0
        rest = self._data[self._position :]
        self._pieces += [rest, received] if rest else [received]
        self._pieces_size += len(rest) + len(received)
        self._data, self._position = b"", 0
        if self._pieces_size < size:
            raise BlockingIOError
        self._data = b"".join(self._pieces)
        self._pieces.clear()
        self._pieces_size = 0
