"""The log: one line per event, without the token, written by a thread of its own. Not on the page, which prints.

A terminal that is held with Ctrl+S, or a pipe that nobody reads, blocks each thread that writes to it. It must block neither the
loop, whose quotes would stay on the book, nor the main thread, which has to cancel them.
"""

import logging
import logging.handlers
import os
import queue
import sys
from typing import Any, NoReturn

from bot.transport.error_text import escape, redact

MAX_QUEUED_LINES = 10_000  # lines that nobody has read; further ones are lost until somebody reads
FLUSH_TIMEOUT = 0.5  # seconds at the end, for lines that nobody may read


class RedactingFormatter(logging.Formatter):
    """Formats log lines without the token and without control characters, which a server or a library may have put into them."""

    def __init__(self, token: str):
        super().__init__("%(asctime)s %(message)s")
        self._token = token

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._token, super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        return escape(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Format a traceback. An exception's message can have line breaks, but no line that begins as those of the log do."""
        lines = map(escape, super().formatException(ei).split("\n"))
        return "\n".join(f"  {line}" if line[:1].isdigit() else line for line in lines)


def start_log(level: int, token: str) -> logging.handlers.QueueListener:
    """Log to standard error. Call `exit_with_log` at the end."""
    _reserve_standard_streams()
    logging.raiseExceptions = False  # a full disk, a closed terminal or a full queue must not cost a traceback per line
    lines: queue.Queue[logging.LogRecord] = queue.Queue(MAX_QUEUED_LINES)
    handler = logging.handlers.QueueHandler(lines)
    handler.setFormatter(RedactingFormatter(token))
    logging.basicConfig(level=level, handlers=[handler])
    if level > logging.DEBUG:
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns at each try; the call reports once, at the end
    listener = logging.handlers.QueueListener(lines, logging.StreamHandler())
    try:
        listener.start()
    except RuntimeError as error:  # a limit of processes or of memory: no thread can be started
        sys.exit(f"Cannot start: {error}")
    return listener


def _reserve_standard_streams() -> None:
    """Open the null device for standard streams that are closed: the next socket would get their number, and what is written to it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)  # as the others are
    os.close(number)


def exit_with_log(listener: logging.handlers.QueueListener, status: int) -> NoReturn:
    """End the process when the last line is written, or cannot be written."""
    lines: Any = listener.queue  # a queue.Queue, which counts what is not written yet
    with lines.all_tasks_done:
        is_written = lines.all_tasks_done.wait_for(lambda: not lines.unfinished_tasks, FLUSH_TIMEOUT)
    if not is_written:
        os._exit(status)  # Python's own exit would wait for the writer without end
    try:
        for output in filter(None, (sys.stdout, sys.stderr)):  # None if it was closed from the start
            output.flush()
    except (OSError, ValueError):  # a full disk, or a terminal that is gone: Python's own exit would change the status to 120
        os._exit(status)
    sys.exit(status)
