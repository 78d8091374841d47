"""Turns of REST calls and new streams on the event loop.

Between two turns the loop runs everything else that is due, above all the next block. So many large answers, asked for at once, do not
add up to a late block.
"""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator


class Turns:
    """Serves one request at a time. Of each address one waits for the turn, so an address with many requests delays others by one."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._addresses: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def take(self, address: str) -> AsyncIterator[None]:
        """Wait for a turn. It ends after the loop has run once."""
        own = self._addresses.setdefault(address, asyncio.Lock())
        async with own, self._turn:
            yield
            await asyncio.sleep(0)
