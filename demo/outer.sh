# SPDX-License-Identifier: LGPL-2.1-or-later
# Init of the outermost pid namespace: the pipeline, and two namespaces side by side.
sh "$DEMO/pipeline.sh" "$STATE/pipeline" &
unshare --fork --pid sh "$DEMO/inner.sh" &
unshare --fork --pid python3 "$DEMO/counter.py" "$STATE/python-sibling" &
wait
