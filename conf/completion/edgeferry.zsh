#compdef edgeferry
# SPDX-License-Identifier: Apache-2.0
# Completion of edgeferry(1) for zsh. Verbs and options are asked of the program, so they are never behind it.

local -a args list
args=(${${words[2,CURRENT-1]}:#-*})

if [[ $PREFIX == -* ]]; then
	list=(${(f)"$(edgeferry ${args[1]} --help 2>/dev/null |
		sed -n 's/^ .*\(--[a-z-]*\)[=[][^ ]*  *\([A-Z].*\)$/\1=:\2/p; s/^ .*\(--[a-z-]*\)  *\([A-Z].*\)$/\1:\2/p')"})
	_describe -o option list -S ''
	return
fi
case "${args[1,2]}" in
'')
	list=(${(f)"$(edgeferry --help 2>/dev/null | sed -n 's/^  \([a-z]\{1,\}\) .*  \([A-Z].*\)$/\1:\2/p')"})
	_describe verb list
	;;
nodes)
	list=('discover:find nodes without a file' 'provision:give a node its first key' 'rotate-key:give a node another key')
	_describe action list
	;;
'nodes provision' | 'nodes rotate-key')
	list=(${(f)"$(edgeferry nodes --json=pretty 2>/dev/null | sed -n 's/^ *"name": "\([a-z0-9-]*\)".*/\1/p')"})
	_describe node list
	;;
config)
	list=('show:every key, and where its value comes from')
	_describe action list
	;;
install)
	_files
	;;
esac
