"""What lies on the desk: one board on a port, and a publisher that it can reach."""

import contextlib
import json
import socket
from pathlib import Path

from fakes import with_version
from site_of import DATA

from ota import image as images
from ota_tools import certificates, keys
from ota_tools import trust as trust_store
from ota_tools.device import Device
from ota_tools.failures import Failure
from ota_tools.partitions import APP, Partition, Table
from ota_tools.release import Release, Target, make_release
from ota_tools.serve import Server

PRODUCT = BOARD = "desk"
WINDOW_S = 30

JOIN = """
import json, network, time
station = network.WLAN(network.STA_IF)
station.active(True)
if not station.isconnected():
    with open("/wifi.json") as file:
        wifi = json.load(file)
    station.connect(wifi["ssid"], wifi["key"])
for _ in range(300):
    if station.isconnected():
        break
    time.sleep(0.1)
return station.isconnected()
"""

BLANK = """
import esp32, os
for key in ("journal", "report"):
    try:
        esp32.NVS("ota").erase_key(key)
    except OSError:
        pass
for name in ("/ota_receipts.json", "/ota_trust.json.current"):
    try:
        os.remove(name)
    except OSError:
        pass
"""

SLOTS = """
import esp32
P = esp32.Partition
return [P(P.RUNNING).info()[4]] + [part.info() for part in P.find(P.TYPE_APP)]
"""

WIPE = """
import esp32
part = esp32.Partition(esp32.Partition.RUNNING).get_next_update()
for block in range(part.info()[3] // 4096):
    part.ioctl(6, block)
"""

UPDATE = """
updater = ota.Updater.from_config()
release = updater.update()
return release.version if release else updater.reason
"""


class Desk:
    """The board and its publisher.

    Attributes:
        device: the board's REPL.
        server: with the requests that it answered.
        firmware: the image that the board runs, for releases that are like it; chip_id: of it.
        said: console lines of the last start.
    """

    def __init__(self, device: Device, folder: Path, host: str, firmware: bytes) -> None:
        self.device = device
        self.firmware = firmware
        self.said: list[str] = []
        self._published = folder / "published"
        self._published.mkdir(parents=True)
        self._signer = keys.load_private(DATA / "release.pem")
        paths = certificates.ensure(folder / "tls", [host])
        everywhere = "0.0.0.0"
        self.server = Server(self._published, paths.server_pem, paths.server_key, host=everywhere)
        url = f"https://{host}:{self.server.port}"
        info = images.inspect(lambda offset, n: firmware[offset : offset + n], len(firmware))
        self.chip_id = info.chip_id
        self._target = Target(PRODUCT, BOARD, self._table())
        self._sequence = 0
        chip = make_release(
            firmware, self._target, "first", self._signer, folder / "first", sequence=1
        ).manifest_path.name
        assert info.size == len(firmware)
        self._trust = trust_store.make_first(
            [keys.load_private(DATA / "root.pem")],
            [self._signer.public_key()],
            manifest_urls=[f"{url}/{chip}"],
            tls_roots=[paths.ca_der.read_bytes()],
        )

    def prepare(self) -> None:
        """A board as if nothing had been installed on it: no journal, no receipts, our trust store."""
        config = {"product": PRODUCT, "board": BOARD, "ntp": "", "trial_window_s": WINDOW_S}
        self.device.write("/ota.json", json.dumps(config).encode())
        self.device.write("/ota_trust.json", self._trust)
        self.device.run(BLANK)
        self.restart()
        if self.status()["trial"]:
            self.device.ask("ota.confirm()")

    def restart(self) -> list[str]:
        """A hard reset: what the board says until its REPL waits, nobody interrupting it."""
        self.device.reset()
        return self.started()

    def reset_by(self, body: str, silence_s: float = 5) -> None:
        """A call in which the board resets: no answer comes, then it says nothing for so long."""
        with contextlib.suppress(Failure):
            raise AssertionError(f"no reset, but {self.device.ask(body, silence_s=silence_s)}")
        self.device.stop()

    def started(self) -> list[str]:
        """After a reset: what the board says until its REPL waits."""
        self.said = []
        assert self.device.follow(self.said.append, 90), self.said
        self.device.stop()
        return self.said

    def join(self) -> None:
        """The network, and the time, which certificates are judged by."""
        assert self.device.run(JOIN), "the board did not join the network of its /wifi.json"
        import time

        now = time.gmtime()
        self.device.run(
            "import machine\nmachine.RTC().datetime((%d, %d, %d, %d, %d, %d, %d, 0))"
            % (*now[:3], now.tm_wday, *now[3:6])
        )

    def status(self) -> dict:
        """`ota.status()`."""
        return self.device.ask("return ota.status()")

    def running(self) -> str:
        """Label of the slot that runs, by the firmware itself."""
        return self.device.run(SLOTS)[0]

    def publish(self, version: str) -> Release:
        """A release that is what the board runs, but for its version text."""
        self._sequence += 1
        return make_release(
            with_version(self.firmware, version),
            self._target,
            version,
            self._signer,
            self._published,
            sequence=self._sequence,
        )

    def wipe(self) -> None:
        """The other slot erased, so that a download finds nothing there to leave out."""
        self.device.run(WIPE, silence_s=120)

    def sent(self) -> int:
        """Bytes of payloads that the server sent so far."""
        return sum(r.bytes_sent for r in self.server.log.answered() if "manifest" not in r.path)

    def install(self, version: str) -> None:
        """Publish a release and let the board install it; it is on trial after the next reset."""
        self.publish(version)
        self.join()
        assert self.device.ask(UPDATE, silence_s=600) == version

    def close(self) -> None:
        """Stop the server."""
        self.server.close()

    def _table(self) -> Table:
        # Its slots are all that a release is judged by.
        parts = [Partition(row[4], APP, row[1], row[2], row[3]) for row in self._rows()]
        return Table(tuple(parts))

    def _rows(self) -> list:
        return self.device.run(SLOTS)[1:]


def read_firmware(device: Device) -> bytes:
    """The image that the board runs, read over its REPL: minutes on a serial line."""
    body = """
import esp32, binascii
from ota.image import inspect
part = esp32.Partition(esp32.Partition.RUNNING)
def read(offset, n):
    buf = bytearray(n)
    part.readblocks(offset // 4096, buf, offset % 4096)
    return buf
size = inspect(read, part.info()[3]).size
for at in range(0, size, 1024):
    print("at", binascii.b2a_base64(read(at, min(1024, size - at))).decode().strip())
return size
"""
    import base64

    pieces: list[bytes] = []

    def hear(line: str) -> None:
        if line.startswith("at "):
            pieces.append(base64.b64decode(line[3:]))

    size = device.ask(body, hear)
    data = b"".join(pieces)
    assert len(data) == size
    return data


def own_address() -> str:
    """The address of this machine that a device of the same network reaches; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody's
        except OSError:
            return "localhost"
        return probe.getsockname()[0]
