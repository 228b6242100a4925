"""ota: signed firmware updates for ESP32 boards that run MicroPython.

The public names stand in one table and are imported on first use, so that a normal boot pays only
for what it calls. Nothing here touches hardware.
"""

__version__ = "0.1.0"

# public name -> module that has it. No module bears the name of a public function: the import of
# a submodule would replace the function here.
_PUBLIC = {
    "boot": "start",
    "self_test": "trial",
    "confirm": "trial",
    "rollback": "trial",
    "reset": "trial",
    "Updater": "updater",
    "status": "health",
    "history": "memory",
    "forget": "memory",
    "OtaError": "errors",
    "SourceError": "errors",
    "ImageError": "errors",
    "SignatureError": "errors",
    "SlotError": "errors",
}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import ImageError as ImageError
    from .errors import OtaError as OtaError
    from .errors import SignatureError as SignatureError
    from .errors import SlotError as SlotError
    from .errors import SourceError as SourceError
    from .health import status as status
    from .memory import forget as forget
    from .memory import history as history
    from .start import boot as boot
    from .trial import confirm as confirm
    from .trial import reset as reset
    from .trial import rollback as rollback
    from .trial import self_test as self_test
    from .updater import Updater as Updater


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(name)
    module = __import__("ota." + _PUBLIC[name], None, None, (name,))
    return getattr(module, name)
