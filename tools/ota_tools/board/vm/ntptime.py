"""`ntptime` of the ESP32 port: the host has set the clock already."""


def settime():
    """Nothing to do: the VM's clock is the host's."""
