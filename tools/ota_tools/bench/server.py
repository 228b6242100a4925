"""The server of all three: HTTP/1.1 on loopback, plain, in a process of its own, and it counts.

One answer is one `sendall` of head and one `sendfile` of the file, so that it is not what is
measured. Answers have Content-Length; one range is answered with 206 (RFC 9110, section 14). The
head has no date and no name: equal requests give equally many bytes.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from types import TracebackType

_RANGE = re.compile(rb"(?im)^range: bytes=(\d+)-(\d*)\r$")
_COUNTS = "/-counts"


class Server:
    """Serves a folder from a process of its own; a context manager.

    Attributes:
        port: on loopback.
    """

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def counts(self) -> int:
        """Bytes on the wire since the last call: requests and answers, heads included."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{_COUNTS}") as answer:
            return int(json.load(answer))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Counter:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0

    def add(self, n: int) -> None:
        with self._lock:
            self._bytes += n

    def take(self) -> int:
        with self._lock:
            taken, self._bytes = self._bytes, 0
            return taken


def _serve(folder: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    counter = _Counter()
    while True:
        sock = listener.accept()[0]
        threading.Thread(target=_connection, args=(sock, folder, counter), daemon=True).start()


def _connection(sock: socket.socket, folder: Path, counter: _Counter) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with sock:
            kept = b""
            while True:
                while b"\r\n\r\n" not in kept:
                    piece = sock.recv(4096)
                    if not piece:
                        return
                    kept += piece
                asked, _, kept = kept.partition(b"\r\n\r\n")
                asked += b"\r\n\r\n"
                _answer(sock, asked, folder, counter)
                if b"\r\nconnection: close\r\n" in asked.lower():
                    return
    except OSError:
        pass  # the client left; what it was sent until then is counted


def _answer(sock: socket.socket, asked: bytes, folder: Path, counter: _Counter) -> None:
    path = asked.split(b" ", 2)[1].decode()
    if path == _COUNTS:
        body = json.dumps(counter.take()).encode()
        sock.sendall(_head("200 OK", len(body)) + body)
        return
    counter.add(len(asked))
    try:
        file = (folder / path.lstrip("/")).open("rb")
    except OSError:
        counter.add(sock.send(_head("404 Not Found", 0)))
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        first, last, status, extra = 0, size - 1, "200 OK", ""
        if found := _RANGE.search(asked):
            first = int(found[1])
            last = min(int(found[2] or last), last)
            status = "206 Partial Content"
            extra = f"Content-Range: bytes {first}-{last}/{size}\r\n"
        head = _head(status, last - first + 1, extra)
        counter.add(len(head))
        sock.sendall(head)
        # Counted before it is sent: the client is through before this thread runs again.
        counter.add(last - first + 1)
        sent = sock.sendfile(file, first, last - first + 1)
        counter.add(sent - (last - first + 1))


def _head(status: str, length: int, extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{extra}\r\n".encode()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
