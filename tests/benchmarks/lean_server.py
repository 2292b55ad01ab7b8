"""A loopback server that answers every chat completion alike after a fixed latency, at next to no cost of its own.

It parses just enough HTTP to find the end of a request, so that on a machine of few cores it is not what a benchmark
measures. `python tests/benchmarks/lean_server.py --latency 0.05` prints its port and serves until its standard input
closes. In a benchmark, `with LeanServer(0.05) as server:` runs it in a process of its own, at `server.url`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from types import TracebackType

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1760000000,
    "model": "task",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop", "logprobs": None}
    ],
    "usage": {"prompt_tokens": 60, "completion_tokens": 1, "total_tokens": 61},
}
STOP_SECONDS = 10.0


def response(body: bytes) -> bytes:
    """A whole HTTP response around this body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests on it are answered in order."""

    served = 0

    def __init__(self, latency: float) -> None:
        """Answer after `latency` seconds, at once where it is 0."""
        self._latency = latency
        self._buffer = b""
        self._constant = response(json.dumps(ANSWER).encode())
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            _, _, length = head.partition(b"\r\ncontent-length:")
            whole = end + 4 + (int(length.partition(b"\r\n")[0]) if length else 0)
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"get "):
            self._send(response(json.dumps({"served": Connection.served}).encode()))
            return
        Connection.served += 1
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._send, self._constant)
        else:
            self._send(self._constant)

    def _send(self, contents: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(contents)


class LeanServer:
    """The server in a process of its own, which ends with this one."""

    def __init__(self, latency: float = 0.0) -> None:
        """`latency` is in seconds."""
        self._command = [sys.executable, str(Path(__file__).resolve()), "--latency", str(latency)]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The API base, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}/v1"

    def served(self) -> int:
        """How many completions it has answered."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/served", timeout=STOP_SECONDS) as found:
            return int(json.load(found)["served"])

    def __enter__(self) -> LeanServer:
        """Start; returns once requests are accepted."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End the process: it ends when its input does."""
        assert self._process is not None
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


async def serve(latency: float) -> None:
    """Serve on a free port until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(latency), "127.0.0.1", 0, backlog=1024)
    ended = asyncio.Event()

    def watch() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer")
    asyncio.run(serve(parser.parse_args().latency))
