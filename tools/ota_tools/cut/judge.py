"""Judges a board from its flash and NVS alone: what no cut may ever lead to.

Of the library only otadata records are read; images are compared byte by byte with those that were
published, the journal and the receipts are taken apart here.
"""

import json
import struct
import zlib
from dataclasses import dataclass

from littlefs import LittleFSError

from ota import otadata
from ota_tools.board.flash import SECTOR, Flash
from ota_tools.cut.app import App
from ota_tools.cut.state import State
from ota_tools.cut.vfs import mount
from ota_tools.failures import Refused
from ota_tools.partitions import Partition, Table

WRITING, CONFIRMING = 1, 4
_RECORD = 512
_RECEIPTS = "/ota_receipts.json"
_ACCEPTED = "/ota_trust.json.current"


@dataclass(frozen=True)
class Journal:
    """The record in NVS, as docs/format.md has it; `highest` is epoch and sequence."""

    state: int
    highest: tuple[int, int]
    sequence: int
    digest: bytes
    slot: int
    refused: tuple[tuple[bytes, int], ...]
    untold: bool


class Judge:
    """Knows the table and every image that was published.

    Args:
        table: the board's.
        apps: every image that may be in a slot.
        stores: every trust store that was published, number 1 first.
    """

    def __init__(self, table: Table, apps: dict[str, App], stores: list[bytes]) -> None:
        self.table = table
        self._apps = apps
        self._stores = stores
        self._digests = {version: app.digest for version, app in apps.items()}
        self._heads = {app.data[:16] for app in apps.values()}

    def holds(self, state: State, part: Partition) -> App | None:
        """The image that a slot holds whole, None for none of the published ones."""
        for app in self._apps.values():
            end = part.offset + len(app.data)
            if len(app.data) <= part.size and state.flash[part.offset : end] == app.data:
                return app
        return None

    def journal(self, state: State) -> Journal | None:
        """The record, None where there is none that is whole."""
        value = state.nvs.get("ota", {}).get("journal")
        record = bytes.fromhex(value) if isinstance(value, str) else b""
        if len(record) != _RECORD or struct.unpack("<I", record[-4:])[0] != zlib.crc32(
            record[:-4]
        ):
            return None
        highest, sequence = struct.unpack_from("<QQ", record, 8)
        (epoch,) = struct.unpack_from("<H", record, 248)
        ring = [struct.unpack_from("<16sQ", record, 76 + 24 * n) for n in range(4)]
        refused = tuple((digest, above) for digest, above in ring if above)
        return Journal(
            record[1],
            (epoch, highest),
            sequence,
            record[24:56],
            record[72],
            refused,
            record[196] == 1,
        )

    def receipts(self, state: State) -> dict[int, tuple[bytes, tuple[int, int]]] | None:
        """Slot -> SHA-256, and epoch and sequence, by the receipts; None where the file system does
        not mount.
        """
        data = self._file(state, _RECEIPTS)
        if not data:
            return None if data is None else {}
        slots = json.loads(data)["slots"]
        return {
            int(slot): (bytes.fromhex(entry["sha256"]), (entry.get("epoch", 0), entry["sequence"]))
            for slot, entry in slots.items()
        }

    def accepted(self, state: State) -> int:
        """Number of the trust store that was accepted since the board was flashed; 1 for none, 0 for
        what nobody published.
        """
        data = self._file(state, _ACCEPTED)
        if not data:
            return 1
        return self._stores.index(data) + 1 if data in self._stores else 0

    def _file(self, state: State, name: str) -> bytes | None:
        part = self.table.find("vfs")
        assert part is not None
        try:
            fs = mount(Flash(state.flash), part)
            with fs.open(name, "rb") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return b""
        except (Refused, LittleFSError):
            return None

    def wrong(self, state: State) -> list[str]:
        """What a state says or holds that is not so, whatever led to it."""
        found = []
        slots = self.table.ota_slots
        for part in slots:
            head = bytes(state.flash[part.offset : part.offset + 16])
            if head in self._heads and self.holds(state, part) is None:
                found.append(f"{part.name} has a header over what is no published image")
        journal = self.journal(state)
        if journal and WRITING < journal.state <= CONFIRMING and journal.sequence:
            app = self.holds(state, slots[journal.slot])
            if app is None or self._digests[app.version] != journal.digest:
                found.append(
                    f"the journal is in state {journal.state} over an image that slot "
                    f"{journal.slot} does not hold"
                )
        receipts = self.receipts(state)
        if receipts is None:
            found.append("the file system does not mount")
        elif not self.accepted(state):
            found.append("the accepted trust store is none that was published")
        for slot, (digest, _) in (receipts or {}).items():
            app = self.holds(state, slots[slot])
            if app is None or self._digests[app.version] != digest:
                found.append(f"the receipt of slot {slot} names an image that it does not hold")
        return found

    def highest(self, state: State, running: Partition) -> tuple[int, int] | None:
        """Epoch and sequence, the highest that the device knows to be confirmed; None while the running image is
        not, when nothing can be installed.
        """
        if not self.is_confirmed(state, running):
            return None
        journal = self.journal(state)
        highest = journal.highest if journal else (0, 0)
        slots = self.table.ota_slots
        if running in slots:
            receipts = self.receipts(state) or {}
            highest = max(highest, receipts.get(slots.index(running), (b"", (0, 0)))[1])
        return highest

    def is_confirmed(self, state: State, running: Partition) -> bool:
        """Does otadata say that the running image is to stay?"""
        entries = self.entries(state)
        active = otadata.active(entries)
        slots = self.table.ota_slots
        if running not in slots:
            return active < 0
        return (
            active >= 0
            and otadata.state_of(entries[active]) == otadata.VALID
            and otadata.slot_of(entries[active], len(slots)) == slots.index(running)
        )

    def blessed(self, state: State) -> set[str]:
        """The versions that otadata calls VALID."""
        slots = self.table.ota_slots
        found = set()
        for entry in self.entries(state):
            if otadata.is_valid(entry) and otadata.state_of(entry) == otadata.VALID:
                app = self.holds(state, slots[otadata.slot_of(entry, len(slots))])
                if app:
                    found.add(app.version)
        return found

    def entries(self, state: State) -> tuple[bytes, bytes]:
        """Both otadata records."""
        part = self.table.otadata
        assert part is not None
        first, second = part.offset, part.offset + SECTOR
        return bytes(state.flash[first : first + 32]), bytes(state.flash[second : second + 32])
