"""The log: one line per event, without the token, written by a thread of its own. Not on the page, which prints.

A terminal that is held with Ctrl+S, or a pipe that nobody reads, blocks whoever writes to it. It must block neither the loop,
whose quotes would stay on the book, nor the main thread, which has to cancel them.
"""

import logging
import logging.handlers
import os
import queue
import sys
import threading
from typing import NoReturn

from bot.transport.error_text import redact

MAX_QUEUED_LINES = 10_000  # lines that nobody has read; further ones are lost until somebody reads
FLUSH_TIMEOUT = 0.5  # seconds at the end, for lines that nobody may read


class RedactingFormatter(logging.Formatter):
    """Formats log lines without the token, whatever a library or a traceback has put into them."""

    def __init__(self, token: str):
        super().__init__("%(asctime)s %(message)s")
        self._token = token

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._token, super().format(record))


def start_log(level: int, token: str) -> logging.handlers.QueueListener:
    """Log to standard error. Call `exit_with_log` at the end."""
    logging.raiseExceptions = False  # a full disk, a closed terminal or a full queue must not cost a traceback per line
    lines: queue.Queue[logging.LogRecord] = queue.Queue(MAX_QUEUED_LINES)
    handler = logging.handlers.QueueHandler(lines)
    handler.setFormatter(RedactingFormatter(token))
    logging.basicConfig(level=level, handlers=[handler])
    if level > logging.DEBUG:
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns at each try; the call reports once, at the end
    listener = logging.handlers.QueueListener(lines, logging.StreamHandler())
    listener.start()
    return listener


def exit_with_log(listener: logging.handlers.QueueListener, status: int) -> NoReturn:
    """End the process when the last line is written, or cannot be written."""
    stop = threading.Thread(target=listener.stop, daemon=True)
    stop.start()
    stop.join(FLUSH_TIMEOUT)
    if stop.is_alive():
        os._exit(status)  # Python's own exit would wait for the writer without end
    try:
        for output in filter(None, (sys.stdout, sys.stderr)):  # None if it was closed from the start
            output.flush()
    except (OSError, ValueError):  # a full disk, or a terminal that is gone: Python's own exit would change the status to 120
        os._exit(status)
    sys.exit(status)
