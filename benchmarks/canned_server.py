"""A server on loopback that answers at once with what it holds, in a process of its own.

What an address asks for is said by its path, so that nothing has to be set up:

    /found/...     a small PNG
    /gone/...      404
    /stalled/...   no answer, as long as the connection stands
"""

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SERVER = """
import asyncio, sys

IMAGE = bytes.fromhex(sys.argv[1])
FOUND = b"HTTP/1.1 200 OK\\r\\nContent-Type: image/png\\r\\nContent-Length: %d\\r\\n\\r\\n"
FOUND = FOUND % len(IMAGE) + IMAGE
GONE = b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\n\\r\\n"

class Answers(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.held = transport, b""

    def data_received(self, data):
        *requests, self.held = (self.held + data).split(b"\\r\\n\\r\\n")
        for request in requests:
            path = request.split(b" ", 2)[1]
            if not path.startswith(b"/stalled/"):
                self.transport.write(FOUND if path.startswith(b"/found/") else GONE)

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answers, "127.0.0.1", 0, backlog=4000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def served() -> Iterator[str]:
    """Yield the address of the server while it runs."""
    from PIL import Image

    sink = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 90)).save(sink, "PNG")
    command = [sys.executable, "-c", _SERVER, sink.getvalue().hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        yield f"127.0.0.1:{running.stdout.readline().strip()}"
        running.kill()
