# bash completion for laminate. Load it with: source <(laminate completion bash)

_laminate() {
	# Bash splits words at = and :, where they are in COMP_WORDBREAKS; laminate
	# gets them whole, and what it answers loses what bash does not replace.
	local words=() word last= glue= i
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ ${#words[@]} -gt 0 && ($glue || $word =~ ^[=:]+$) ]]; then
			words[${#words[@]}-1]+=$word
		else
			words+=("$word")
		fi
		glue=
		[[ $word =~ ^[=:]+$ ]] && glue=1
	done
	last=${words[${#words[@]}-1]}
	local tail=${last##*[=:]}
	local strip=${last%"$tail"}

	local lines directive line IFS=$'\n'
	lines=$("$1" __complete "${words[@]}" 2>/dev/null) || return
	directive=${lines##*$'\n'}
	COMPREPLY=()
	for line in $lines; do
		line=${line%%$'\t'*}
		[[ $line == ":"* ]] || COMPREPLY+=("${line#"$strip"}")
	done
	if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:/] ]]; then
		compopt -o nospace 2>/dev/null || true
	fi
	case $directive in
	:files) COMPREPLY+=($(compgen -f -- "$tail")) ;;
	:directories) COMPREPLY+=($(compgen -d -- "$tail")) ;;
	*) return ;;
	esac
	compopt -o filenames 2>/dev/null || true # which bash 3 has not
}

complete -F _laminate laminate
