"""What a board keeps without power, and the operations that change it.

Flash and NVS decide everything that happens after a cut, so a state can be rebuilt from a log of
operations, as if the power had gone anywhere in it.
"""

import hashlib
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

from ota_tools.board.flash import Flash, Operation
from ota_tools.board.nvs import Content, Nvs


@dataclass(frozen=True)
class NvsWrite:
    """A pair as it is after the write: namespace, key, value; None where it goes."""

    space: str
    key: str
    value: int | str | None


Step = Operation | NvsWrite


def kind_of(step: Step) -> str:
    """`erase 4096`, `erase 65536`, `program`, `nvs`."""
    if isinstance(step, NvsWrite):
        return "nvs"
    return f"erase {step.size}" if step.kind == "erase" else "program"


@dataclass
class State:
    """Flash and NVS of a board without power."""

    flash: bytearray
    nvs: Content

    def copy(self) -> "State":
        """One of its own."""
        return State(bytearray(self.flash), deepcopy(self.nvs))

    def key(self) -> bytes:
        """Equal for equal states."""
        digest = hashlib.blake2b(self.flash, digest_size=16)
        digest.update(json.dumps(self.nvs, sort_keys=True).encode())
        return digest.digest()

    def apply(self, step: Step) -> None:
        """Do a whole step."""
        if isinstance(step, NvsWrite):
            pairs = self.nvs.setdefault(step.space, {})
            if step.value is None:
                pairs.pop(step.key, None)
            else:
                pairs[step.key] = step.value
        elif step.kind == "erase":
            self.flash[step.address : step.address + step.size] = b"\xff" * step.size
        else:
            end = step.address + step.size
            old = int.from_bytes(self.flash[step.address : end], "little")
            merged = old & int.from_bytes(step.data, "little")
            self.flash[step.address : end] = merged.to_bytes(step.size, "little")


def record(flash: Flash, nvs: Nvs, note: Callable[[Step], None]) -> None:
    """Tell `note` every step from now on, before it happens."""

    def on_flash(operation: Operation) -> bool:
        note(operation)
        return False

    def on_nvs(space: str, key: str, value: int | str | None) -> None:
        note(NvsWrite(space, key, value))

    flash.cut_before = on_flash
    nvs.on_write = on_nvs
