"""A board in a folder: board.json, flash.bin, nvs.json."""

import json
from pathlib import Path

from ota_tools.board.flash import Flash
from ota_tools.board.model import Board
from ota_tools.board.nvs import Nvs
from ota_tools.board.settings import Settings
from ota_tools.failures import Refused, Usage
from ota_tools.partitions import TABLE_OFFSET, Table, to_binary


def load_board(folder: Path) -> Board:
    """The board in a folder: `board.json`, `flash.bin`, `nvs.json`. Raises Usage, Refused."""
    settings, flash = open_chip(folder)
    return Board(str(folder), settings, flash, Nvs(folder / "nvs.json"))


def open_chip(folder: Path) -> tuple[Settings, Flash]:
    """A board's settings, and its flash for whoever has to close it. Raises Usage, Refused."""
    try:
        settings = Settings(**json.loads((folder / "board.json").read_text()))
        return settings, Flash.open(folder / "flash.bin", settings.strict)
    except FileNotFoundError as e:
        raise Usage(f"{folder} is no board: make one with `ota board new`") from e
    except OSError as e:
        raise Usage(f"{folder} is no board: {e.strerror}") from e
    except (ValueError, TypeError, RecursionError) as e:
        raise Refused(f"{folder}: board.json or flash.bin is damaged: {e}") from e


def create(folder: Path, table: Table, flash_size: int, settings: Settings) -> Board:
    """A new board: blank flash with its partition table, blank NVS. Raises Usage if one is there."""
    if (folder / "flash.bin").exists():
        raise Usage(f"{folder} holds a board already")
    folder.mkdir(parents=True, exist_ok=True)
    Flash.create(folder / "flash.bin", flash_size)
    (folder / "board.json").write_text(json.dumps(settings.__dict__, indent=1) + "\n")
    flash = Flash.open(folder / "flash.bin")
    flash.load(TABLE_OFFSET, to_binary(table))
    flash.close()
    return load_board(folder)
