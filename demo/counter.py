# SPDX-License-Identifier: LGPL-2.1-or-later
"""Threads that count, each by itself, and a main thread that writes down how far they are."""

import sys
import threading
import time

counts = [0] * 4


def count(number):
    while True:
        counts[number] += number + 1
        time.sleep(0.01)


def main():
    for number in range(len(counts)):
        threading.Thread(target=count, args=(number,), daemon=True).start()
    with open(sys.argv[1], "w", encoding="ascii") as file:
        while True:
            file.seek(0)
            print(f"four threads count {counts}", file=file)
            file.truncate()
            file.flush()
            time.sleep(0.05)


main()
