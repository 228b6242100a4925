"""The REPL of the ESP32 port on the board's serial line: friendly, raw, raw paste.

Rules: Ctrl-C interrupts while a program runs and is a character while the REPL reads, and the host is
told of each change. Nothing is printed here but with its own \\r\\n. Frames of these stubs do not
appear in a traceback: on a chip they are C.
Source: shared/runtime/pyexec.c and ports/esp32/main.c of v1.25.0; "The REPL" in the documentation.
"""

import io
import sys

import link
from link import call

_CTRL_A, _CTRL_B, _CTRL_C, _CTRL_D, _CTRL_E = 1, 2, 3, 4, 5
_WINDOW = 128
_COMPOUND = ("if", "while", "for", "try", "with", "def", "class", "async", "@")
_FRAME = '  File "%s/' % __file__.rsplit("/", 1)[0]

_stdin = sys.stdin.buffer
_stdout = sys.stdout.buffer
_byte = bytearray(1)


def run(name, folders, names):
    """The first file of this name: what it raised, reported; None where it ended well or is not there."""
    for folder in folders:
        try:
            file = open(folder + name)
        except OSError:
            continue
        with file:
            error = _execute(file.read(), name, "exec", names)
        if error and not isinstance(error, SystemExit):
            report(error)
        return error
    return None


def execute(work):
    """With Ctrl-C on: None, or what it raised; SystemExit asks for a soft reset."""
    error = None
    try:
        try:
            call("interrupt", _CTRL_C)
            work()
        except BaseException as e:
            _check_heap()
            error = e
        if call("interrupt", -1):
            # One that came while the program ended: as on a chip, it is not lost.
            error = error or KeyboardInterrupt()
    except BaseException as e:  # a Ctrl-C that came late
        _check_heap()
        error = error or e
        _quiet()
    return error


def report(error):
    """The traceback of a program."""
    text = io.StringIO()
    sys.print_exception(error, text)
    lines = [line for line in text.getvalue().split("\n") if not line.startswith(_FRAME)]
    _say("\r\n".join(lines))


def serve(names, raw):
    """Until a soft reset: what the line says is run with these names."""
    while True:
        call("mode", raw)
        if (_raw if raw else _friendly)(names):
            return
        raw = not raw


def _raw(names):
    # True: soft reset. False: friendly from now on.
    _say("raw REPL; CTRL-B to exit\r\n>")
    text = bytearray()
    while True:
        c = _get()
        if c == _CTRL_A and text == b"\x05A":
            if _answer(_paste(), names):
                return True
            text = bytearray()
        elif c == _CTRL_A:
            text = bytearray()
            _say("raw REPL; CTRL-B to exit\r\n>")
        elif c == _CTRL_B:
            _say("\r\n")
            return False
        elif c == _CTRL_C:
            text = bytearray()
        elif c != _CTRL_D:
            text.append(c)
        elif not text:
            _say("OK\r\n")
            return True
        else:
            _say("OK")
            if _answer(bytes(text), names):
                return True
            text = bytearray()


def _paste():
    # The source, None after Ctrl-C. Two windows are free at first.
    _say(b"R\x01" + bytes((_WINDOW & 0xFF, _WINDOW >> 8)) + b"\x01")
    text = bytearray()
    while True:
        c = _get()
        if c in (_CTRL_C, _CTRL_D):
            _say("\x04")
            return None if c == _CTRL_C else bytes(text)
        text.append(c)
        if len(text) % _WINDOW == 0:
            _say("\x01")


def _answer(source, names):
    error = KeyboardInterrupt() if source is None else _execute(source, "<stdin>", "exec", names)
    _say("\x04")
    if error and not isinstance(error, SystemExit):
        report(error)
    _say("\x04")
    if isinstance(error, SystemExit):
        return True
    _say(">")
    return False


def _friendly(names):
    banner = "MicroPython" + sys.version.split("MicroPython", 1)[1]
    _say("%s; %s\r\n" % (banner, sys.implementation._machine))
    _say('Type "help()" for more information.\r\n')
    while True:
        text = _statement()
        if text == _CTRL_A:
            _say("\r\n")
            return False
        if text == _CTRL_B:
            _say("\r\n")
            return _friendly(names)
        if text == _CTRL_D:
            _say("\r\n")
            return True
        if text == _CTRL_C:
            _say("\r\n")
            continue
        kind = "single"
        if text == _CTRL_E:
            kind, text = "exec", _typed_paste()
        error = None if text is None else _execute(text, "<stdin>", kind, names)
        if isinstance(error, SystemExit):
            return True
        if error:
            report(error)


def _statement():
    # What was typed, or a control character.
    text = _line(">>> ")
    if isinstance(text, int):
        return text
    while _goes_on(text):
        more = _line("... ")
        if more == _CTRL_C:
            return more
        if isinstance(more, int):
            break
        text += b"\n" + more
    return text


def _typed_paste():
    _say("\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
    text = b""
    while True:
        c = _get()
        if c in (_CTRL_C, _CTRL_D):
            _say("\r\n")
            return text if c == _CTRL_D else None
        text += b"\n" if c == 13 else bytes((c,))
        _say("\r\n=== " if c == 13 else bytes((c,)))


def _line(prompt):
    # Up to Return; or the control character that an empty line begins with, or Ctrl-C.
    _say(prompt)
    text = b""
    while True:
        c = _get()
        if c == 13:
            _say("\r\n")
            return text
        if c == _CTRL_C or (1 <= c <= 5 and not text):
            return c
        if c in (8, 127):
            if text:
                text = text[:-1]
                _say("\b \b")
        elif c == 27:
            _skip_key()
        elif c == 9 or c >= 32:
            key = b"    " if c == 9 else bytes((c,))
            text += key
            _say(key)


def _skip_key():
    # The rest of an arrow or function key.
    if _get() in b"[O":
        while not 0x40 <= _get() <= 0x7E:
            pass


def _goes_on(text):
    # As mp_repl_continue_with_input() decides it.
    first = text.lstrip(b" ").split(b" ")[0].split(b":")[0].split(b"(")[0].decode()
    if first.startswith("@") or first in _COMPOUND:
        if not text.endswith(b"\n"):
            return True
    quote = b""
    depth = at = 0
    while at < len(text):
        here = text[at : at + 1]
        if here == b"\\":
            if at == len(text) - 1:
                return True
            at += 2
            continue
        if quote:
            if text[at:].startswith(quote):
                at += len(quote)
                quote = b""
                continue
        elif here in b"'\"":
            quote = here * 3 if text[at:].startswith(here * 3) else here
            at += len(quote)
            continue
        elif here in b"([{":
            depth += 1
        elif here in b")]}":
            depth -= 1
        elif here == b"#":
            while at < len(text) and text[at : at + 1] != b"\n":
                at += 1
        at += 1
    return depth > 0 or len(quote) == 3


def _execute(source, name, kind, names):
    return execute(lambda: exec(compile(source, name, kind), names))


def _quiet():
    while True:
        try:
            call("interrupt", -1)
            return
        except KeyboardInterrupt:
            pass


def _check_heap():
    # The VM's Ctrl-C leaves its collector where it is, with the heap locked for ever.
    try:
        bytearray(1)
    except MemoryError:
        link.lost()


def _get():
    if not _stdin.readinto(_byte):
        call("idle")  # the line is gone
    return _byte[0]


def _say(text):
    _stdout.write(text)
