"""A composed flash onto a board: what fits the board, and in which order it is written.

Rule: the partition table is the first thing that is erased and the last that is written. Without one no
bootloader starts anything, so a board that was left half-way does not boot, and the same command again
starts from the beginning: nothing is taken over from the board but a bootloader, which is left alone where
it is right already.
"""

from collections.abc import Callable

from ota_tools import compose, firmware
from ota_tools.compose import Composed
from ota_tools.failures import Refused
from ota_tools.loader import SECTOR, Loader, Region
from ota_tools.partitions import TABLE_OFFSET


def flash_size_for(loader: Loader, parsed: firmware.Firmware, asked: int | None) -> int:
    """Bytes of flash to compose for: what was asked for, else what the chip has.

    Raises Refused where the firmware is for another chip, or the chip has less.
    """
    if loader.name != parsed.chip:
        raise Refused(f"the firmware is for {parsed.chip}, the board is {loader.name}")
    if asked and asked > loader.flash_size:
        raise Refused(
            f"--flash-size {compose.size_name(asked)}, the chip has "
            f"{compose.size_name(loader.flash_size)}: leave the option out"
        )
    return asked or loader.flash_size


def with_bootloader(loader: Loader, parsed: firmware.Firmware) -> firmware.Firmware:
    """The firmware, with the board's own bootloader where it brings none. Raises Refused."""
    if parsed.bootloader:
        return parsed
    start = firmware.CHIPS[parsed.chip].bootloader_offset
    try:
        found = firmware.bootloader_image(loader.read(start, TABLE_OFFSET - start), parsed.chip)
    except Refused as e:
        raise Refused(
            f"the board has no bootloader to keep ({e}): name one with --bootloader"
        ) from e
    return parsed._replace(bootloader=found)


def write(
    loader: Loader,
    composed: Composed,
    erase: bool,
    keep: bytes = b"",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Erase, write, verify, reset.

    Args:
        erase: the whole flash first, and not only what would be believed.
        keep: the bootloader that lies on the board; not written again where it is the composed one.
        progress: progress(bytes written, of all).
    Raises Unreachable where the board goes away; what it holds then does not boot.
    """
    pieces = composed.pieces
    start = firmware.CHIPS[composed.chip].bootloader_offset
    if keep and composed.data[start : start + len(keep)] == keep:
        pieces = [piece for piece in pieces if piece.offset != start]
    else:
        keep = b""
    loader.erase(TABLE_OFFSET, SECTOR)
    if erase and not keep:
        loader.erase(0, loader.flash_size)
    elif erase:
        loader.erase(TABLE_OFFSET, loader.flash_size - TABLE_OFFSET)
    else:
        for offset, size in composed.blank:
            loader.erase(offset, size)
    pieces = sorted(pieces, key=lambda piece: piece.offset == TABLE_OFFSET)
    loader.write([Region(p.offset, p.data, p.what) for p in pieces], progress)
    loader.reset()
