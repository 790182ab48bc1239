#compdef laminate
# zsh completion for laminate. Load it with: source <(laminate completion zsh),
# or write it to a file called _laminate in a directory of $fpath.

_laminate() {
	local -a lines plain open
	local line value about directive
	lines=("${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	directive=${lines[-1]}
	for line in "${(@)lines[1,-2]}"; do
		value=${line%%$'\t'*} about=${line#*$'\t'}
		line=${value//:/\\:}${about:+:$about}
		if [[ $value == *[=:/] ]]; then
			open+=("$line")
		else
			plain+=("$line")
		fi
	done
	(( $#plain )) && _describe -t values laminate plain
	(( $#open )) && _describe -t values laminate open -S ''
	if [[ $directive == :files || $directive == :directories ]]; then
		compset -P '-*=' || compset -P '*:'
		[[ $directive == :files ]] && _files || _files -/
	fi
}

if [[ $funcstack[1] == _laminate ]]; then
	_laminate "$@"
else
	compdef _laminate laminate
fi
