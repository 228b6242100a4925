"""`micropython`, with the interrupt character of the board's serial line in place of the VM's own."""

from link import call
from micropython import *  # noqa: F403


def kbd_intr(character):
    """The character that raises KeyboardInterrupt; -1: none does."""
    call("interrupt", character)
