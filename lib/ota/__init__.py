"""ota: signed firmware updates for ESP32 boards that run MicroPython.

The public names stand in one table and are imported on first use, so that a normal boot pays only
for what it calls. Nothing here touches hardware.
"""

from micropython import const

__version__ = "0.1.0"

# A module and the public names that it has. No module bears the name of a public function: the
# import of a submodule would replace the function here. Text takes less memory than a dict.
_PUBLIC = (
    "start boot",
    "trial self_test confirm rollback reset",
    "updater Updater install_image",
    "aio AsyncUpdater",
    "local Wire",
    "health status",
    "checkup doctor",
    "rotation trust_status",
    "memory history outcome forget",
    "errors OtaError SourceError ImageError SignatureError SlotError",
)

_started = False  # boot() ran since the last reset

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from .aio import AsyncUpdater as AsyncUpdater
    from .checkup import doctor as doctor
    from .errors import ImageError as ImageError
    from .errors import OtaError as OtaError
    from .errors import SignatureError as SignatureError
    from .errors import SlotError as SlotError
    from .errors import SourceError as SourceError
    from .health import status as status
    from .local import Wire as Wire
    from .memory import forget as forget
    from .memory import history as history
    from .memory import outcome as outcome
    from .rotation import trust_status as trust_status
    from .start import boot as boot
    from .trial import confirm as confirm
    from .trial import reset as reset
    from .trial import rollback as rollback
    from .trial import self_test as self_test
    from .updater import Updater as Updater
    from .updater import install_image as install_image


def __getattr__(name: str) -> object:
    for row in _PUBLIC:
        names = row.split(" ")
        if name in names[1:]:
            # Loading leaves garbage between what stays; collected late, it would split a small heap.
            import gc

            threshold = gc.threshold()
            gc.threshold(4096)
            try:
                return getattr(__import__("ota." + names[0], None, None, (name,)), name)
            finally:
                gc.threshold(threshold)
    raise AttributeError(name)
