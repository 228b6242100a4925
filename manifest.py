"""Freezes the device library into a firmware: `include()` this file from the board's manifest."""

metadata(version="0.1.0", description="Signed firmware updates for ESP32 boards")
package("ota", base_path="lib")
