"""The files of `--env-dir`: the room's secret and the participants' settings, readable by their owner only."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

SECRET_FILE = "room.secret"
GITIGNORE = f"*.env\n{SECRET_FILE}\n.gitignore\n"  # so that a folder inside a repository is not committed by mistake


class PrivateFileError(ValueError):
    """A file of the folder cannot be used; the message names it."""


def load_or_create_secret(folder: Path) -> bytes:
    """Return the secret stored in a folder, created on first use, so that settings stay valid after a restart.

    Raises:
        PrivateFileError: the folder or a file in it cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PrivateFileError(f"{folder}: {error.strerror}") from error
    if not os.path.lexists(folder / ".gitignore"):
        write_private(folder / ".gitignore", GITIGNORE)
    path = folder / SECRET_FILE
    if not os.path.lexists(path):
        write_private(path, secrets.token_hex(32))
    text = _read_private(path)
    if not re.fullmatch("[0-9a-f]{64}", text.strip()):
        raise PrivateFileError(f"{path}: expected 64 hex digits; delete the file to get a new secret, with new tokens and codes")
    return bytes.fromhex(text.strip())


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600 from the start.

    Raises:
        PrivateFileError: the file cannot be written, or is a symbolic link, which is not followed.
    """
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "w", encoding="utf-8") as file:
        _tighten(path, descriptor)
        file.write(text)


def env_lines(settings: Mapping[str, str]) -> str:
    """Return settings as the lines of a `.env` file."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _read_private(path: Path) -> str:
    descriptor = _open(path, os.O_RDONLY)
    with open(descriptor, encoding="ascii", errors="replace") as file:
        _tighten(path, descriptor)
        return file.read(1000)


def _open(path: Path, flags: int) -> int:
    # O_NONBLOCK: opening a FIFO must not wait for another process.
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        raise PrivateFileError(f"{path}: is a symbolic link, which is not followed" if is_link else f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PrivateFileError(f"{path}: is not a regular file")
    return descriptor


def _tighten(path: Path, descriptor: int) -> None:
    """Take the rights of other users away. A file from a backup or a copy may have them."""
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
        try:
            os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise PrivateFileError(f"{path}: other users have rights to it, and they cannot be removed: {error.strerror}") from error
