# SPDX-License-Identifier: LGPL-2.1-or-later
# A pipeline of the shell: numbers run through three processes into a file.
(
	number=0
	while :; do
		number=$((number + 1))
		echo "$number"
		sleep 0.05
	done
) | sed -u 's/$/ lines went through the pipe/' | while read -r line; do
	echo "$line"
done >"$1"
