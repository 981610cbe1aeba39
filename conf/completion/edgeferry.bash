# SPDX-License-Identifier: Apache-2.0
# Completion of edgeferry(1) for bash. Verbs and options are asked of the program, so they are never behind it.

_edgeferry() {
	local cur=${COMP_WORDS[COMP_CWORD]} verb='' action='' i words=''
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] && continue
		if [[ -z $verb ]]; then verb=${COMP_WORDS[i]}; else action=${COMP_WORDS[i]}; fi
	done
	if [[ $cur == -* ]]; then
		words=$(edgeferry ${verb:+"$verb"} --help 2>/dev/null | grep -Eo -- '--[a-z-]+=?' | sort -u)
	else
		case $verb${action:+ $action} in
		'') words=$(edgeferry --help 2>/dev/null | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p') ;;
		nodes) words='discover provision rotate-key' ;;
		'nodes provision' | 'nodes rotate-key') words=$(edgeferry nodes --json=pretty 2>/dev/null | sed -n 's/^ *"name": "\([a-z0-9-]*\)".*/\1/p') ;;
		config) words=show ;;
		install)
			compopt -o default 2>/dev/null
			return
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
	return 0
}
complete -F _edgeferry edgeferry
