"""Checks of lib/ota/p256_viper.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "P-256 in viper: a sum that meets itself is not doubled",
        "            self.double()\n        else:\n            self.is_empty = True\n",
        "            self.is_empty = True\n        else:\n            self.is_empty = True\n",
        "host/test_p256_viper.py::test_viper_from_source",
    ),
    (
        "P-256 in viper: a sum that meets its opposite is doubled",
        "            self.double()\n        else:\n            self.is_empty = True\n",
        "            self.double()\n        else:\n            self.double()\n",
        "host/test_p256_viper.py::test_viper_from_source",
    ),
    (
        "P-256 in viper: infinity has any x",
        "    if total.is_empty:\n        return False\n",
        "    if total.is_empty:\n        return True\n",
        "host/test_p256_viper.py::test_viper_from_source",
    ),
    (
        "P-256 in viper: no x is compared",
        "        if total.w == total.zero:\n            return True\n",
        "        return True\n",
        "host/test_p256_viper.py::test_viper_from_source",
    ),
    (
        "P-256 in viper: words of 64 bits are taken",
        "if sys.maxsize >> 31:",
        "if False:",
        "host/test_p256_viper.py::test_words_of_64_bits_use_the_portable_core",
    ),
]
