"""Non-volatile storage as the board has it: pairs that are written whole or not at all.

ESP-IDF keeps them in a partition of their own; here they are a file of JSON beside the flash, or in
memory only.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from ota_tools.failures import Refused

Content = dict[str, dict[str, int | str]]
"""Namespace -> key -> integer, or hex digits of a blob."""


class Nvs:
    """What NVS holds.

    Attributes:
        content: as it is now; whoever changes it behind the board's back is a cable.
        on_write: called with namespace, key and new value (None: the pair goes) before each change.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Raises Refused for a file that is damaged."""
        self._path = path
        self.content: Content = {}
        self.on_write: Callable[[str, str, int | str | None], None] | None = None
        if path and path.exists():
            self.content = _read(path)

    def get(self, space: str, key: str) -> int | str | None:
        """The value, None where there is none."""
        return self.content.get(space, {}).get(key)

    def set(self, space: str, key: str, value: int | str | None) -> None:
        """Write a pair, or take it out."""
        if self.on_write:
            self.on_write(space, key, value)
        if value is None:
            del self.content[space][key]
        else:
            self.content.setdefault(space, {})[key] = value
        if self._path:
            fresh = self._path.with_name(self._path.name + ".new")
            fresh.write_text(json.dumps(self.content, indent=1))
            os.replace(fresh, self._path)


def _read(path: Path) -> Content:
    try:
        found: Content = json.loads(path.read_text())
        for pairs in found.values():
            for value in pairs.values():
                if type(value) is not int:
                    bytes.fromhex(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError, RecursionError) as e:
        raise Refused(f"{path} is damaged: {e}") from e
    return found
