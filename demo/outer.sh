# SPDX-License-Identifier: LGPL-2.1-or-later
# Init of the outermost pid namespace: the pipeline, and two namespaces side by side, the second of
# which belongs to a user namespace of its own.
sh "$DEMO/pipeline.sh" "$STATE/pipeline" &
unshare --fork --pid sh "$DEMO/inner.sh" &
unshare --user --map-root-user --fork --pid python3 "$DEMO/counter.py" "$STATE/python-sibling" &
wait
