# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for nestor(1). The options come from the program's own help.
_nestor()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} program=${COMP_WORDS[0]}

	if [[ $COMP_CWORD -eq 1 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null |
			sed -n 's/^  nestor \([a-z-]*\) .*/\1/p') --help --version" -- "$current")
		return
	fi
	case $previous in
	-D | --images-dir | -W | --work-dir | -r | --root)
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return
		;;
	-o | --log-file | --pidfile | --config | --ns | --action-script | --address)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--unshare)
		mapfile -t COMPREPLY < <(compgen -W 'pid pid,mnt auto auto,mnt' -- "$current")
		return
		;;
	-t | --tree)
		mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$current")
		return
		;;
	esac
	if [[ $command == run && " ${COMP_WORDS[*]:2:COMP_CWORD-2} " == *" -- "* ]]; then
		mapfile -t COMPREPLY < <(compgen -c -f -- "$current")
	elif [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$program" "$command" --help 2>/dev/null |
			grep -oE -- '--[a-z][a-z-]*')" -- "$current")
	else
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
	fi
}
complete -F _nestor nestor
