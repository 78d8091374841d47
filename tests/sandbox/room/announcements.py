"""Output for the teacher who starts a room: addresses, codes, the teacher's key, and a `.env` file for each participant."""

import contextlib
import socket
import sys
from pathlib import Path
from typing import Any, Optional, TextIO

from tests.sandbox import ANY_HOST, Sandbox
from tests.sandbox.room.private_files import env_lines, load_or_create_secret, write_private


def room_secret(folder: Optional[Path]) -> Optional[bytes]:
    """Return the secret stored in a folder of `.env` files; None without a folder, which means a new secret."""
    return load_or_create_secret(folder) if folder else None


def write_env_files(sandbox: Sandbox, folder: Optional[Path]) -> None:
    """Write p01.env, p02.env, …, readable by their owner only."""
    for participant in sandbox.room.participants.values() if folder else ():
        assert folder
        write_private(folder / f"{participant.name}.env", env_lines(sandbox.settings_of(participant, host_for_others(sandbox))))


def warn_of_the_network(sandbox: Sandbox) -> None:
    lines = [
        "WARNING: other machines can connect to this sandbox, and see its dashboard, all market data and all orders.",
        f"WARNING: its URL for others is {sandbox.url(host=host_for_others(sandbox))} (or another address of this machine).",
        "WARNING: nothing is encrypted. Use it in a trusted network, and only for the duration of the workshop.",
    ]
    print(*lines, sep="\n", file=sys.stderr, flush=True)


def announce_room(sandbox: Sandbox, output: TextIO) -> None:
    """Print the codes and the teacher's key. Without participants and other machines, print nothing."""
    room = sandbox.room
    host = host_for_others(sandbox)
    lines = []
    if not sandbox.is_private:
        lines.append(f"# Teacher's key, for the controls from another machine: {room.teacher_key}")
        lines.append(f"#   dashboard with this key: {sandbox.url(path=f'/#key={room.teacher_key}', host=host)}")
    if room.participants:
        lines.append(f"# Projector: {sandbox.url(path='/?view=ranking', host=host)}")
        lines.append(f"# Participants get their settings with their code, in one browser each: {sandbox.url(path='/join', host=host)}")
        lines.append("# The token of bot, a, b and c works on this machine only. Codes:")
        codes = [f"{one.name} {one.code}" for one in room.participants.values()]
        lines += [f"#   {'   '.join(codes[start : start + 5])}" for start in range(0, len(codes), 5)]
    print(*lines, sep="\n", end="\n" if lines else "", file=output, flush=True)


def host_for_others(sandbox: Sandbox) -> str:
    """Return the address of this machine for other machines, as far as it can be determined here."""
    if sandbox.is_private or sandbox.listens_on not in ANY_HOST:
        return sandbox.host
    family: Any = socket.AF_INET6 if ":" in sandbox.listens_on else socket.AF_INET
    nowhere = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # documentation addresses; nothing is sent
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((nowhere, 9))
        return str(probe.getsockname()[0])
    return socket.gethostname()
