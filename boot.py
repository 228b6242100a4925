"""boot.py: the first thing after every reset. Two lines, and they never raise."""

import ota

ota.boot()
