# fish completion for laminate. Load it with: laminate completion fish | source

function __laminate_complete
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	set -l lines (command $words[1] __complete $words[2..-1] "$current" 2>/dev/null)
	or return
	for line in $lines[1..-2]
		echo $line
	end
	set -l tail (string replace -r '^.*[=:]' '' -- "$current")
	set -l before (string replace -r '[^=:]*$' '' -- "$current")
	switch $lines[-1]
		case :files
			for file in (__fish_complete_path "$tail")
				echo $before$file
			end
		case :directories
			for file in (__fish_complete_directories "$tail")
				echo $before$file
			end
	end
end

complete -c laminate -f -a '(__laminate_complete)'
