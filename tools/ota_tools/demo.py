"""`ota demo`: a virtual ESP32 lives through a release history, and is judged from outside.

What happened is not taken from the library. After the VM has ended, `Judge` reads the flash file: which
slot the bootloader picks, what the slots hold, the otadata bytes, the erases that were counted; and the
server's log says what went over the wire. Only the reason of a refusal is what the board printed.

The board never talks to the server itself: it asks a redirecting host, which sends it to a relay, which
passes the bytes on, and in one step breaks the connection (flaky.py).
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from ota_tools import certificates, keys, resources
from ota_tools import trust as trust_store
from ota_tools.board import maker, runner
from ota_tools.board.flash import Operation
from ota_tools.board.folder import load_board
from ota_tools.board.interpreter import Interpreter
from ota_tools.board.judge import Judge
from ota_tools.failures import Failure
from ota_tools.flaky import Detour
from ota_tools.partitions import parse_csv
from ota_tools.release import Target, make_release
from ota_tools.request_log import Request
from ota_tools.serve import Server

PRODUCT = "demo"
BOARD = "virtual"
IMAGE_SIZE = 1 << 20
BREAKS = (300_007, 450_001)
"""Bytes of TLS after which a connection is broken: in the middle of the image, on no boundary."""

# otadata records as they must be in flash, byte by byte: seq, label, state, crc over seq.
_LABEL = "ff" * 20
_BLANK = "ff" * 32
_FIRST_VALID = "01000000" + _LABEL + "02000000" + "9a984347"
_SECOND_VALID = "02000000" + _LABEL + "02000000" + "7437f655"
_THIRD_DROPPED = "03000000" + _LABEL + "04000000" + "00000000"
_SECOND_DROPPED = "02000000" + _LABEL + "02000000" + "00000000"
_FOURTH_VALID = "04000000" + _LABEL + "02000000" + "a8689d70"
_THIRD_VALID = "03000000" + _LABEL + "02000000" + "11504aed"


@dataclass
class Step:
    """One step of the demo, as `--json` shows it."""

    name: str
    outcome: str
    reason: str
    ok: bool
    seconds: float


class Demo:
    """The scene: keys, server, images, board; and the steps that happen in it.

    Args:
        folder: everything is made in here.
        interpreter: the MicroPython VM.
        say: one line of the timeline.
    """

    def __init__(self, folder: Path, interpreter: Interpreter, say: Callable[[str], None]) -> None:
        self._interpreter = interpreter
        self._say = say
        self._folder = folder
        self._published = folder / "published"
        self._published.mkdir(parents=True)
        self._signer = keys.generate(folder / "release.pem")
        root = keys.generate(folder / "root.pem")
        paths = certificates.ensure(folder / "tls", ["localhost"])
        self.server = Server(self._published, paths.server_pem, paths.server_key, host="localhost")
        self._way = Detour(self.server.port, paths.server_pem, paths.server_key, self._say)
        table = parse_csv(resources.device_file("partitions.csv").read_text())
        self._target = Target(PRODUCT, BOARD, table)
        self._trust = trust_store.make_first(
            [root],
            [self._signer.public_key()],
            manifest_urls=[f"{self._way.url}/{BOARD}-esp32.manifest"],
            tls_roots=[paths.ca_der.read_bytes()],
        )
        self._images: dict[str, bytes] = {}
        self._publish("1.0")
        maker.make_board(
            folder / "board",
            table,
            self._images["1.0"],
            maker.application_files(self._trust, PRODUCT, BOARD),
            receipt=("1.0", 1),
        ).close()

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """(name, function) in order; a function returns its outcome, raises Failure if it failed."""
        return [
            ("1.0 runs, nothing newer is offered", self._first),
            ("1.1 is installed through a redirect and two broken connections", self._good),
            ("1.2 fails its self-test and is rolled back", self._bad),
            ("1.2 is not offered again", self._not_again),
            ("power is cut in the middle of 1.3's download", self._cut),
            ("1.3 is installed after the cut", self._after_cut),
            ("a release signed by a stranger is refused", self._stranger),
            ("a release for another product is refused", self._other_product),
            ("a downgrade is refused", self._downgrade),
            ("a payload that was replaced is refused", self._replaced),
            ("a payload with one flipped bit is refused", self._flipped),
            ("1.4 is installed after all of that", self._after_all),
        ]

    def close(self) -> None:
        """Stop the servers."""
        self._way.close()
        self.server.close()

    # Steps

    def _first(self) -> str:
        self._power("idle")
        self._judge("1.0", "ota_0", (_FIRST_VALID, _BLANK))
        self._untouched(("ota_0", "ota_1"))
        return "ota_0 runs 1.0"

    def _good(self) -> str:
        payload = self._publish("1.1")
        way = self._way
        self._say("its URL redirects to another host; the connection there will break twice")
        way.relay.break_after(*BREAKS)
        before = sum(way.relay.down)
        self._power("idle")
        moved = sum(way.relay.down) - before
        self._judge("1.1", "ota_1", (_FIRST_VALID, _SECOND_VALID))
        self._holds("ota_0", "1.0")
        self._untouched(("ota_0",))
        broken = len(way.relay.breaks)
        self._expect(broken == 2, f"{broken} broken connections, expected 2")
        asked = sum(path.endswith(payload.name) for path in way.redirector.requests)
        self._expect(asked == 6, f"the redirecting host was asked {asked} times, expected 3 x 2")
        size = len(self._images["1.1"])
        self._expect(moved < size * 3 // 2, f"{moved} bytes on the wire for an image of {size}")
        return f"ota_1 runs 1.1, confirmed; it went on where it broke: {moved} bytes on the wire for {size}"

    def _bad(self) -> str:
        self._publish("1.2", works=False)
        self._power("idle")
        self._judge("1.1", "ota_1", (_THIRD_DROPPED, _SECOND_VALID))
        self._holds("ota_0", "1.2")
        self._expect("app 1.2 running" not in self._console, "1.2 ran as if it were confirmed")
        self._untouched(("ota_1",))
        return "1.2 ran its self-test in ota_0, failed; ota_1 runs 1.1 again"

    def _not_again(self) -> str:
        self._power("idle")
        self._judge("1.1", "ota_1", (_THIRD_DROPPED, _SECOND_VALID))
        self._untouched(("ota_0", "ota_1"))
        self._wire(payload_asked=False)
        return "no erase, and no request for the image on the wire"

    def _cut(self) -> str:
        self._publish("1.3")
        slot = self._target.table.find("ota_0")
        assert slot is not None
        left = 130

        def cut(operation: Operation) -> bool:
            nonlocal left
            if slot.offset <= operation.address < slot.offset + slot.size:
                left -= 1
            return left == 0

        self._power("cut", cut)
        self._judge("1.1", "ota_1", (_THIRD_DROPPED, _SECOND_VALID))
        self._untouched(("ota_1",))
        return f"cut at {self._operations[-1].address:#x}; ota_1 still boots 1.1"

    def _after_cut(self) -> str:
        self._power("idle")
        self._judge("1.3", "ota_0", (_THIRD_VALID, _SECOND_VALID))
        self._holds("ota_1", "1.1")
        self._untouched(("ota_1",))
        size, moved = len(self._images["1.3"]), self._moved()
        self._expect(moved < size, f"all of {size} bytes moved again")
        return f"ota_0 runs 1.3, confirmed; {moved} of {size} bytes were sent"

    def _stranger(self) -> str:
        self._offer("6.6", signer=keys.generate(self._folder / "stranger.pem"))
        return self._refused("signature")

    def _other_product(self) -> str:
        self._offer("1.4", product="other")
        return self._refused("wrong-product")

    def _downgrade(self) -> str:
        self._offer("1.1", sequence=2)
        return self._refused("downgrade")

    def _replaced(self) -> str:
        self._offer("1.4").write_bytes(b"not what was signed\n" * 4000)
        return self._refused("size-mismatch", payload_asked=True)

    def _flipped(self) -> str:
        payload = self._offer("1.4")
        data = bytearray(payload.read_bytes())
        data[len(data) // 2] ^= 1
        payload.write_bytes(data)
        self._power("idle")
        self._wire(payload_asked=True)
        self._judge("1.3", "ota_0", (_THIRD_VALID, _SECOND_DROPPED))
        self._untouched(("ota_0",))
        head = Judge(self._folder / "board").read("ota_1", 16)
        self._expect(head == b"\xff" * 16, "ota_1 has a header")
        return f"{self._said()}; noticed while writing ota_1, which is left without a header"

    def _after_all(self) -> str:
        self._offer("1.4")
        self._power("idle")
        self._judge("1.4", "ota_1", (_THIRD_VALID, _FOURTH_VALID))
        self._holds("ota_0", "1.3")
        self._untouched(("ota_0",))
        return "ota_1 runs 1.4, confirmed"

    # Means

    def _offer(
        self,
        version: str,
        signer: rsa.RSAPrivateKey | None = None,
        product: str = PRODUCT,
        sequence: int = 5,
    ) -> Path:
        # As the owner's tools would not: nothing is compared with what was published before.
        (self._published / f"{BOARD}-esp32.manifest").unlink()
        for old in self._published.glob(f"*-{version}-*.bin"):
            old.unlink()
        if version not in self._images:
            self._images[version] = maker.application_image(version, True, IMAGE_SIZE)
        target = dataclasses.replace(self._target, product=product)
        made = make_release(
            self._images[version],
            target,
            version,
            signer or self._signer,
            self._published,
            sequence,
        )
        self._say(f"offered {version}: sequence {sequence}, product {product}")
        return made.payload_path

    def _refused(self, code: str, payload_asked: bool = False) -> str:
        self._power("idle")
        self._wire(payload_asked)
        self._expect(self._said().startswith(code), f"expected {code}: {self._said()}")
        self._judge("1.3", "ota_0", (_THIRD_VALID, _SECOND_VALID))
        self._untouched(("ota_0", "ota_1"))
        self._holds("ota_1", "1.1")
        return f"{self._said()}; zero erases"

    def _wire(self, payload_asked: bool) -> None:
        # The board read the manifest, and asked for the image only where that was not to blame.
        wanted = {".manifest", ".bin"} if payload_asked else {".manifest"}
        requests = self._requests()
        got = {_suffix(request) for request in requests if request.status in (200, 206, 416)}
        self._expect(got == wanted, f"the board was sent {got}")

    def _requests(self) -> list[Request]:
        # What the server was asked for since the board was switched on.
        return self.server.log.answered()[self._seen :]

    def _moved(self) -> int:
        # Bytes of images that the server sent since then.
        return sum(r.bytes_sent for r in self._requests() if _suffix(r) == ".bin")

    def _said(self) -> str:
        # The reason that the application printed.
        words = "update failed: "
        return next((line for line in self._console if line.startswith(words)), words)[
            len(words) :
        ]

    def _publish(self, version: str, works: bool = True) -> Path:
        data = maker.application_image(version, works, IMAGE_SIZE)
        self._images[version] = data
        made = make_release(
            data, self._target, version, self._signer, self._published, trust=self._trust
        )
        self._say(f"published {version}: {len(data)} bytes")
        return made.payload_path

    def _power(self, end: str, cut: Callable[[Operation], bool] | None = None) -> None:
        board = load_board(self._folder / "board")
        board.flash.cut_before = cut
        self._seen = len(self.server.log.answered())
        try:
            result = runner.run(board, self._interpreter, self._say)
        finally:
            board.close()
        self._operations = board.flash.operations
        self._console = result.console
        self._expect(result.end == end, f"the board's time ended with {result.end}, not {end}")

    def _judge(self, version: str, slot: str, otadata: tuple[str, str]) -> None:
        judge = Judge(self._folder / "board")
        self._expect(judge.boots() == slot, f"the bootloader picks {judge.boots()}, not {slot}")
        self._expect(judge.otadata() == otadata, f"otadata is {judge.otadata()}")
        self._holds(slot, version)

    def _holds(self, slot: str, version: str) -> None:
        data = self._images[version]
        found = Judge(self._folder / "board").sha256(slot, len(data))
        wanted = hashlib.sha256(data).hexdigest()
        self._expect(found == wanted, f"{slot} does not hold {version}")

    def _in_slot(self, name: str) -> list[Operation]:
        part = self._target.table.find(name)
        assert part is not None
        end = part.offset + part.size
        return [o for o in self._operations if part.offset <= o.address < end]

    def _untouched(self, names: tuple[str, ...]) -> None:
        for name in names:
            found = len(self._in_slot(name))
            self._expect(not found, f"{found} flash operations in {name}")

    def _expect(self, truth: bool, otherwise: str) -> None:
        if not truth:
            raise Failure(otherwise)


def run_demo(
    interpreter: Interpreter,
    say: Callable[[str], None],
    on_step: Callable[[Step], None],
    folder: Path,
) -> list[Step]:
    """Run every step; after a failed one the rest is not run, and says so.

    Args:
        say: lines of the timeline.
        on_step: called after each step.
        folder: does not exist yet; everything is made in here.
    """
    demo = Demo(folder, interpreter, say)
    try:
        return _run_steps(demo, on_step)
    finally:
        demo.close()


def _suffix(request: Request) -> str:
    return Path(request.path.partition("?")[0]).suffix  # the redirect adds a signature


def _run_steps(demo: Demo, on_step: Callable[[Step], None]) -> list[Step]:
    done: list[Step] = []
    for name, action in demo.steps():
        start = time.monotonic()
        if done and not done[-1].ok:
            step = Step(name, "not run", "an earlier step failed", False, 0.0)
        else:
            try:
                step = Step(name, action(), "", True, 0.0)
            except Failure as e:
                step = Step(name, "failed", str(e), False, 0.0)
            step.seconds = round(time.monotonic() - start, 2)
        done.append(step)
        on_step(step)
    return done


def as_json_text(steps: list[Step]) -> str:
    """One object with `steps`."""
    return json.dumps({"steps": [asdict(step) for step in steps]}, indent=1)
