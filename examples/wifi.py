"""wifi.py: joins the network that /wifi.json names; the examples import it."""

import json
import time

import network


def join(seconds=20):
    """The station, connected or not after so many seconds. /wifi.json: {"ssid": …, "key": …}."""
    with open("/wifi.json") as file:
        wifi = json.load(file)
    station = network.WLAN(network.STA_IF)
    station.active(True)
    station.connect(wifi["ssid"], wifi["key"])
    for _ in range(seconds * 10):
        if station.isconnected():
            break
        time.sleep(0.1)
    return station
