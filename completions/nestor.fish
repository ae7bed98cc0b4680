# SPDX-License-Identifier: LGPL-2.1-or-later
# fish completion for nestor(1). The commands and options come from the program's own help.

function __nestor_commands
    command nestor --help 2>/dev/null | string replace -rf '^  nestor ([a-z-]+) +(.*)$' '$1\t$2'
end

function __nestor_options
    set -l words (commandline -opc)
    test (count $words) -ge 2; or return
    command nestor $words[2] --help 2>/dev/null |
        string replace -rf '^  (?:-., |    )(--[a-z-]+)[^ ]*(?: [^ ]*[A-Z\[][^ ]*)? +(.*)$' '$1\t$2'
end

function __nestor_pids
    for directory in /proc/[0-9]*
        echo (path basename $directory)\t(cat $directory/comm 2>/dev/null)
    end
end

function __nestor_after
    set -l words (commandline -opc)
    contains -- $words[-1] $argv
end

complete -c nestor -f -n __fish_use_subcommand -a '(__nestor_commands)'
complete -c nestor -f -n __fish_use_subcommand -a '--help --version'
complete -c nestor -n 'not __fish_use_subcommand' -a '(__nestor_options)'
complete -c nestor -f -n '__nestor_after -t --tree' -a '(__nestor_pids)'
complete -c nestor -f -n '__nestor_after --unshare' -a 'pid pid,mnt auto auto,mnt'
