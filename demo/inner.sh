# SPDX-License-Identifier: LGPL-2.1-or-later
# Init of a namespace in a namespace: a Python program, and one namespace further down.
python3 "$DEMO/counter.py" "$STATE/python" &
unshare --fork --pid "$VECTORS" "$STATE/vectors" &
wait
