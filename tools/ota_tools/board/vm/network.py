"""`network` of the ESP32 port: the station is connected as soon as it is asked to be.

The virtual board uses the host's sockets; the radio is not modelled.
"""

STA_IF = 0


class WLAN:
    """A WiFi station that always finds its access point."""

    def __init__(self, interface=STA_IF):
        self._active = False
        self._connected = False

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
        return self._active

    def connect(self, ssid=None, key=None):
        if not self._active:
            raise OSError("Wifi Not Started")
        self._connected = True

    def isconnected(self):
        return self._connected

    def ifconfig(self):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
