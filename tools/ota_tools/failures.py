"""What the command may fail with: one class per exit code.

A `Failure` is not a bug of ours: its message is one line for the user that names the way out, and
the command line turns it into the exit code without a traceback.
"""


class Failure(Exception):
    """Base; exit code 1."""

    exit_code = 1


class Refused(Failure):
    """The input was read and is not acceptable: bad image, wrong key, failed check. Exit code 1."""


class Usage(Failure):
    """The call itself is wrong: missing file, contradicting options. Exit code 2."""

    exit_code = 2


class Unreachable(Failure):
    """A server or a board does not answer. Exit code 3."""

    exit_code = 3


class MissingTool(Failure):
    """The environment lacks something: the MicroPython VM, a program, a package. Exit code 4."""

    exit_code = 4
