"""A composed flash onto a board: what fits the board, and in which order it is written.

Rule: the partition table is the first thing that is erased and the last that is written. Without one no
bootloader starts anything, so a board that was left half-way does not boot, and the same command again
starts from the beginning. A bootloader that is taken over from the board is not touched: there is no other.
"""

from collections.abc import Callable

from ota_tools import compose, firmware
from ota_tools.compose import Composed
from ota_tools.failures import Refused
from ota_tools.loader import SECTOR, Loader, Region
from ota_tools.partitions import TABLE_OFFSET

_LEAST = 4 << 20  # bytes of flash that two slots take, and --flash-size knows


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


def with_bootloader(loader: Loader, parsed: firmware.Firmware, size: int) -> firmware.Firmware:
    """The firmware, with the board's own bootloader where it brings none.

    Raises Refused where the board has none, or one for another flash than of `size` bytes.
    """
    if parsed.bootloader:
        return parsed
    start = firmware.CHIPS[parsed.chip].bootloader_offset
    try:
        found = firmware.bootloader_image(loader.read(start, TABLE_OFFSET - start), parsed.chip)
    except Refused as e:
        raise Refused(
            f"the board has no bootloader to keep ({e}): name one with --bootloader"
        ) from e
    is_for = compose.flash_size_of(found)
    if is_for != size:
        name = compose.size_name(is_for)
        smaller = f", or --flash-size {name}" if _LEAST <= is_for < size else ""
        raise Refused(
            f"the board's bootloader is for {name}, not {compose.size_name(size)}, and never "
            f"written over, for there is no other: name one with --bootloader{smaller}"
        )
    return parsed._replace(bootloader=found)


def write(
    loader: Loader,
    composed: Composed,
    erase: bool,
    keep: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Erase, write, verify, reset.

    Args:
        erase: the whole flash first, and not only what would be believed.
        keep: the bootloader that lies on the board, which is the composed one.
        progress: progress(bytes written, of all).
    Raises Unreachable where the board goes away; what it holds then does not boot.
    """
    loader.erase(TABLE_OFFSET, SECTOR)
    start = TABLE_OFFSET if keep else 0
    blank = [(start, loader.flash_size - start)] if erase else composed.blank
    for offset, size in blank:
        loader.erase(offset, size)
    pieces = [piece for piece in composed.pieces if piece.offset >= start]
    pieces.sort(key=lambda piece: piece.offset == TABLE_OFFSET)
    loader.write([Region(p.offset, p.data, p.what) for p in pieces], progress)
    loader.reset()
