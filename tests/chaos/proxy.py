"""TCP routes that can be cut, frozen and closed: one for each program and server."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from tests.servers.daemon import free_port

CHUNK_BYTES = 65536
ANSWER_TIMEOUT_S = 10.0
HARD_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: what is under way is lost, and the peer gets a reset

Result = TypeVar("Result")


class Network:
    """The event loop that serves all routes, in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def do(self, call: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine there and wait for it."""
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(ANSWER_TIMEOUT_S)

    def stop(self) -> None:
        """End the loop; the routes are closed before."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_TIMEOUT_S)
        self._loop.close()


class Route:
    """A port that leads to a server on this machine, while it is open."""

    def __init__(self, network: Network, name: str) -> None:
        self.name, self.port = name, free_port()
        self._network = network
        self._target = 0
        self._listener: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()

    def open(self, target: int) -> None:
        """Lead to port ``target`` from now on."""
        self._network.do(self._open(target))

    def close(self) -> None:
        """Refuse connections and cut those that there are, as a machine does whose server died."""
        self._network.do(self._close())

    def cut(self) -> int:
        """Reset every connection; new ones are let through. Returns how many there were."""
        return self._network.do(self._cut())

    def freeze(self) -> None:
        """Let nothing through, and tell nobody."""
        self._network.do(self._flow(False))

    def thaw(self) -> None:
        """Let through what was held up, and all else."""
        self._network.do(self._flow(True))

    async def _open(self, target: int) -> None:
        self._target = target
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await self._cut()

    async def _cut(self) -> int:
        connections = dict(self._connections)
        for task, ends in connections.items():
            for end in ends:
                with suppress(OSError):  # it is closing already
                    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD_CLOSE)
                end.transport.abort()
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        return len(connections)

    async def _flow(self, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = (client_out,)
        try:
            server_in, server_out = await asyncio.open_connection("127.0.0.1", self._target)
            self._connections[task] = (client_out, server_out)
            await asyncio.gather(self._pass(client_in, server_out), self._pass(server_in, client_out))
        except (OSError, asyncio.CancelledError):
            pass  # a dead server, or a cut: both ends are closed below
        finally:
            for end in self._connections.pop(task):
                end.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK_BYTES):
            await self._flowing.wait()
            target.write(data)
            await target.drain()
        target.close()  # the other direction may still have something to say, but neither protocol half-closes
