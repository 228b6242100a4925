"""What kind of board it is: the fields of board.json."""

from dataclasses import dataclass, fields


@dataclass
class Settings:
    """A board's kind; the defaults are a plain ESP32 with stock firmware."""

    chip_id: int = 0
    in_place: bool = False
    """set_boot as newer ESP-IDF does it; see bootloader.set_boot."""

    rollback: bool = True
    """The bootloader was built with rollback."""

    strict: bool = True
    nvs_full: bool = False

    idf_largest: int = 28672
    """Largest free piece of the ESP-IDF heap in bytes, as a plain ESP32 has it with WiFi up and 64 KiB
    taken by Python (94208 before, seen on v1.25.0); boards with PSRAM have more.
    """

    clock_unset: bool = False
    """Its clock says 2000-01-01 at power-on, as a chip's does, and can be set; else it is the host's.
    On the VM this takes libfaketime.
    """

    def __post_init__(self) -> None:
        """Raises TypeError."""
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not type(field.default):
                raise TypeError(f"{field.name} is {value!r}")
