"""The virtual board: one model of chip, flash and bootloader, and the real MicroPython VM on it."""
