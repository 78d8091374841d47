"""The log: one line an event, without the token, written by a thread of its own. Not on the page, which prints.

A terminal held with Ctrl+S, or a pipe that nobody reads, holds whoever writes to it: it must not hold the loop, whose quotes
would stay on the book, nor the main thread, which has to cancel them.
"""

import logging
import logging.handlers
import os
import queue
import sys
import threading
from typing import NoReturn

from bot.transport.error_text import without

MOST_WAITING = 10_000  # lines that nobody has read; later ones are lost until somebody does
LAST_WAIT = 0.5  # seconds at the end, for lines that nobody may ever read


class Redacted(logging.Formatter):
    """The log's lines, which never show the token, whatever a library or a traceback has put into them."""

    def __init__(self, token: str):
        super().__init__("%(asctime)s %(message)s")
        self._token = token

    def format(self, record: logging.LogRecord) -> str:
        return without(self._token, super().format(record))


def start_log(level: int, token: str) -> logging.handlers.QueueListener:
    """Log to standard error. Call `exit_with_log` at the end."""
    logging.raiseExceptions = False  # a full disk, a closed terminal or a full queue must not cost a traceback a line
    lines: queue.Queue[logging.LogRecord] = queue.Queue(MOST_WAITING)
    handler = logging.handlers.QueueHandler(lines)
    handler.setFormatter(Redacted(token))
    logging.basicConfig(level=level, handlers=[handler])
    if level > logging.DEBUG:
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns at each try; the call says it once, at the end
    listener = logging.handlers.QueueListener(lines, logging.StreamHandler())
    listener.start()
    return listener


def exit_with_log(listener: logging.handlers.QueueListener, status: int) -> NoReturn:
    """End the process when the last line is written, or cannot be."""
    end = threading.Thread(target=listener.stop, daemon=True)
    end.start()
    end.join(LAST_WAIT)
    if end.is_alive():
        os._exit(status)  # Python's own end would wait for the writer, for ever
    try:
        for output in filter(None, (sys.stdout, sys.stderr)):  # None where it was closed from the start
            output.flush()
    except (OSError, ValueError):  # a full disk, or a terminal that is gone: Python's own end would make it status 120
        os._exit(status)
    sys.exit(status)
