"""main.py: an application that keeps itself up to date. Copy it and make it yours.

`app` is your application: here a module with VERSION, `ready()` that says whether it works, and
`run()`. The network's name and key lie in /wifi.json, apart from everything that a release replaces.
"""

import json
import time

import app
import network

import ota


def connect():
    """Join the network. The clock is the library's business: certificates have dates."""
    with open("/wifi.json") as file:
        wifi = json.load(file)
    station = network.WLAN(network.STA_IF)
    station.active(True)
    station.connect(wifi["ssid"], wifi["key"])
    for _ in range(200):
        if station.isconnected():
            break
        time.sleep(0.1)


def show(done, total):
    """Progress on the console, every quarter."""
    if done * 4 // total != (done - 4096) * 4 // total:
        print("  %3d %%" % (done * 100 // total))


def server():
    """Is the update server within reach? An image that cannot get there cannot be replaced."""
    return ota.Updater.from_config().reachable()


def update():
    """Install what the server offers; whatever fails, the application goes on."""
    try:
        print("last update:", ota.status()["outcome"])
        updater = ota.Updater.from_config()
        release = updater.update(progress=show)
        if release is None:
            print("no update:", updater.reason)
            return
        print("installed", release.version, "-", release.size, "bytes")
    except ota.OtaError as e:
        print("update failed:", e)
        return
    ota.reset()


connect()
ota.self_test([("server", server), ("app", app.ready)])
update()
app.run()
