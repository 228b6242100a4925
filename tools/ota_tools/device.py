"""A board at the other end of a line: small programs in its raw REPL, by mpremote's transport.

Rule: nothing here resets the board unless it is asked to; a hard reset would end a trial, each loses what
is in RAM. But whatever runs on the board is interrupted when we connect. Every wait has an end.
"""

import base64
import binascii
import contextlib
import json
import re
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from mpremote.transport import TransportError

from ota_tools import ports
from ota_tools.device_line import READ_S, attach, silenced
from ota_tools.failures import Refused, Unreachable

BAUD = 115200

_MARK = "ota-answer "
_PROMPT = b">>> "
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_ANSWER_S = 30  # silence of a board that computes
_ENTER_S = 25
_SETTLE_S = 0.2
_BACK_S = 20  # from a reset to the first sign of life
_CHUNK = 768  # bytes of a file that go with one program

_NO_ANSWER = "is it a MicroPython REPL, is the baud rate right, does another program use the port?"
_BROKEN = (OSError, TransportError, struct.error)

# The line may be noisy: an answer comes with its CRC-32.
_FRAME = """\
import json, binascii
def _ota_run():
{body}
try:
 _ota_said = {{"value": _ota_run()}}
except Exception as e:
 _ota_said = {{"error": type(e).__name__, "code": getattr(e, "code", ""), "text": str(e)}}
_ota_said = json.dumps(_ota_said)
print("{mark}%08x %s" % (binascii.crc32(_ota_said.encode()), _ota_said))
del _ota_run, _ota_said
"""

_OURS = """\
import ota
if not hasattr(ota, "__version__") or not hasattr(ota, "_PUBLIC"):
 raise TypeError("another %s" % (getattr(ota, "__file__", None) or getattr(ota, "__path__", "?")))
"""

_READ = """\
import binascii
try:
 return binascii.b2a_base64(open({path!r}, "rb").read()).decode()
except OSError:
 return None
"""

_HASHES = """\
import hashlib, binascii
buf = bytearray(1024)
found = {{}}
for path in {paths!r}:
 try:
  file = open(path, "rb")
 except OSError:
  continue
 sha = hashlib.sha256()
 while True:
  n = file.readinto(buf)
  if not n:
   break
  sha.update(memoryview(buf)[:n])
 file.close()
 found[path] = binascii.hexlify(sha.digest()).decode()
 print(path)  # a sign of life
return found
"""


@contextlib.contextmanager
def connect(port: str, baud: int = BAUD) -> Iterator["Device"]:
    """The board at `port`, ready to run programs.

    Args:
        port: a serial port, `socket://host:port` or `board:DIR`.
    Raises Usage, Unreachable.
    """
    with ports.open_port(port) as path:
        device = Device(path, port, baud)
        device.open()
        try:
            yield device
        finally:
            device.close()


class Device:
    """A board that answers.

    Attributes:
        name: of the port, as the user typed it.
        interrupted: a program was running when we came; it stands still now.
    """

    def __init__(self, path: str, name: str, baud: int = BAUD) -> None:
        self.name = name
        self.interrupted = False
        self._path = path
        self._baud = baud
        self._transport: Any = None

    def open(self) -> None:
        """Open the port and enter the raw REPL. Raises Unreachable."""
        self._attach()
        try:
            self.stop()
        except Unreachable:
            self.close()
            raise

    def close(self) -> None:
        """Leave the friendly REPL behind, as mpremote does."""
        if self._transport is None:
            return
        with contextlib.suppress(*_BROKEN):
            self._line.deadline = time.monotonic() + READ_S
            self._transport.exit_raw_repl()
        with contextlib.suppress(*_BROKEN):
            self._transport.close()
        self._transport = None

    def run(
        self,
        body: str,
        on_line: Callable[[str], None] | None = None,
        silence_s: float = _ANSWER_S,
    ) -> Any:
        """Run the body of a function on the board; what it returns, as JSON has it.

        Args:
            body: lines of MicroPython, ending in `return` where there is a value.
            on_line: gets what the program prints, line by line.
            silence_s: so long may it print nothing.
        Raises Refused where it raises there (an OtaError as it is), Unreachable.
        """
        said = self._answer(_FRAME.format(body=_indent(body), mark=_MARK), on_line, silence_s)
        if "error" in said:
            raise Refused(_explain(said["error"], said["code"], said["text"]))
        return said["value"]

    def ask(
        self,
        body: str,
        on_line: Callable[[str], None] | None = None,
        silence_s: float = _ANSWER_S,
    ) -> Any:
        """`run` with our `ota` imported. Raises Refused where it is missing or another one."""
        return self.run(_OURS + body, on_line, silence_s)

    def hashes(self, paths: list[str]) -> dict[str, str]:
        """SHA-256 in hex of the files that are there, by path."""
        return cast(dict[str, str], self.run(_HASHES.format(paths=paths)))

    def read(self, path: str) -> bytes | None:
        """A small file, None where there is none."""
        found = self.run(_READ.format(path=path))
        return None if found is None else base64.b64decode(found)

    def write(self, path: str, data: bytes, progress: Callable[[int], None] | None = None) -> None:
        """A file, piece by piece; not proven. `progress` gets the bytes of each piece."""
        self._plain(f"import binascii\n_ota_f = open({path!r}, 'wb')")
        for at in range(0, len(data), _CHUNK):
            piece = data[at : at + _CHUNK]
            text = base64.b64encode(piece).decode()
            self._plain(f"_ota_f.write(binascii.a2b_base64('{text}'))")
            if progress:
                progress(len(piece))
        self._plain("_ota_f.close()\ndel _ota_f")

    def reset(self) -> None:
        """A hard reset: the board starts, and its program runs. Raises Unreachable."""
        with self._bounded(_ANSWER_S):
            self._send("import machine\nmachine.reset()\n")

    def restart(self) -> None:
        """A soft reset: the program runs again, and a trial goes on. Raises Unreachable."""
        with self._bounded(_ANSWER_S):
            self._transport.exit_raw_repl()
            self._line.write(b"\x04")

    def boot(self) -> None:
        """A soft reset that runs boot.py alone; one that does not end is interrupted. Raises Unreachable."""
        with self._bounded(_ANSWER_S + READ_S):
            self._line.write(b"\x04")
            self._transport.read_until(1, _RAW_PROMPT, timeout_overall=_ANSWER_S, timeout=None)
        self.stop()

    def follow(self, on_line: Callable[[str], object], limit_s: float) -> bool:
        """What the board says by itself, until its program has ended and the REPL waits.

        It ends, too, where `on_line` returns something true. Sends nothing. A port that goes away with the
        reset (USB of the chip itself) is opened again.
        Returns: False when `limit_s` seconds have passed before. Raises Unreachable.
        """
        until = time.monotonic() + limit_s
        last = b""
        while time.monotonic() < until:
            try:
                self._line.deadline = until + READ_S
                data = self._line.read(max(1, self._line.inWaiting()))
            except _BROKEN:
                self._attach_again()
                continue
            *lines, last = (last + data).split(b"\n")
            for line in lines:
                if on_line(line.decode(errors="replace").rstrip("\r")):
                    return True
            if not data and last.endswith(_PROMPT):
                return True  # and nothing came behind it for a while
        return False

    # The line

    def _attach(self) -> None:
        self._transport, self._line = attach(self._path, self.name, self._baud)

    def _attach_again(self) -> None:
        with contextlib.suppress(*_BROKEN):
            self._transport.close()
        until = time.monotonic() + _BACK_S
        while True:
            try:
                self._attach()
                return
            except Unreachable:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def stop(self) -> None:
        """Interrupt what runs there, a program of ours too, and have the raw REPL again."""
        # A Ctrl-C that comes before the board's first program is lost, and one in a program that
        # waits in C comes late: it takes more than one.
        with self._bounded(_ENTER_S, _NO_ANSWER):
            while not (self._enters() and self._works()):
                pass

    def _enters(self) -> bool:
        self._line.write(b"\r\x03")
        self.interrupted |= b"KeyboardInterrupt" in self._hear()
        try:
            with silenced():
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=READ_S)
        except TransportError:
            if time.monotonic() > self._line.deadline:
                raise
            return False
        return True

    def _works(self) -> bool:
        # Answers to what was sent too often may come behind, and a late Ctrl-C.
        time.sleep(_SETTLE_S)
        try:
            with silenced():
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=READ_S)
            self._send("print(20 + 22)")
            return bool(self._transport.follow(READ_S)[0].strip() == b"42")
        except (TransportError, struct.error):
            if time.monotonic() > self._line.deadline:
                raise
            return False

    def _hear(self) -> bytes:
        # What a board says to a Ctrl-C: the traceback of what it did, and a prompt.
        heard = b""
        until = time.monotonic() + 1
        while time.monotonic() < until and not heard.endswith(_PROMPT):
            waiting = self._line.inWaiting()
            if waiting:
                heard += self._line.read(waiting)
            else:
                time.sleep(0.01)
        return heard

    def _send(self, program: str) -> None:
        with silenced():
            self._transport.exec_raw_no_follow(program)

    def _plain(self, program: str) -> None:
        with self._bounded(_ANSWER_S):
            self._send(program)
            _, error = self._transport.follow(_ANSWER_S)
        if error:
            raise Refused(f"{self.name}: {_last_line(error.decode(errors='replace'))}")

    def _answer(
        self, program: str, on_line: Callable[[str], None] | None, silence_s: float
    ) -> dict[str, Any]:
        answer: list[str] = []
        partial = bytearray()

        def hear(byte: bytes) -> None:
            self._line.deadline = time.monotonic() + silence_s + READ_S
            if byte != b"\n":
                partial.extend(byte)
                return
            line = partial.decode(errors="replace").rstrip("\r")
            partial.clear()
            if line.startswith(_MARK):
                answer.append(line[len(_MARK) :])
            elif on_line:
                on_line(line)

        with self._bounded(silence_s + READ_S):
            self._send(program)
            _, error = self._transport.follow(silence_s, hear)
        if not answer:
            raise Refused(f"{self.name}: {_last_line(error.decode(errors='replace'))}")
        said = _read_answer(answer[-1])
        if said is None:
            raise Unreachable(f"{self.name}: the answer is garbled: a noisy line?")
        return said

    @contextlib.contextmanager
    def _bounded(self, seconds: float, advice: str = "") -> Iterator[None]:
        self._line.deadline = time.monotonic() + seconds
        try:
            yield
        except (OSError, struct.error) as e:
            raise Unreachable(
                f"{self.name}: the line broke ({_short(e)}); plug it in and run the same command again"
            ) from e
        except TransportError as e:
            raise Unreachable(
                f"{self.name}: no answer: {advice or 'the board hangs or was reset; reset it and try again'}"
            ) from e


def _read_answer(line: str) -> dict[str, Any] | None:
    # What `_FRAME` prints behind the mark, None for anything else.
    crc, _, text = line.partition(" ")
    if crc != f"{binascii.crc32(text.encode()):08x}":
        return None
    try:
        return cast(dict[str, Any], json.loads(text))
    except ValueError:  # a value that JSON has no word for
        return None


def _indent(body: str) -> str:
    return "\n".join(" " + line for line in body.rstrip().split("\n")) or " pass"


def _explain(kind: str, code: str, text: str) -> str:
    if code:
        return text
    if kind == "ImportError" and re.search(r"'ota'", text):
        return "no library on the board: `ota device setup` puts it there"
    if kind == "TypeError" and text.startswith("another "):
        where = text.removeprefix("another ")
        where = where if where.startswith(("/", ".")) else "/" + where
        return (
            f"another package named ota on the board, at {where}: it hides the library, remove it"
        )
    return f"{kind} on the board: {text}"


def _short(e: Exception) -> str:
    return " ".join(str(e).split())[:80] or type(e).__name__


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return f"the board says {lines[-1]}" if lines else "the board was reset meanwhile"
