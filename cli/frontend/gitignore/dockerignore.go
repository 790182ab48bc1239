package gitignore

import (
	"strings"
)

// Dockerignore returns patterns for BuildKit, which leave out a part of what the lines match, or nothing,
// so that it need not be transferred: BuildKit's patterns are those of a .dockerignore, and say less.
func Dockerignore(lines []string) (patterns []string) {
	for _, line := range lines {
		p, ok := parse(line)
		if !ok {
			continue
		}
		if p.negative { // could bring back what the others leave out
			return nil
		}
		text := strings.TrimPrefix(strings.TrimSuffix(trimSpaces(line), "/"), "/")
		if !isPlain(text) {
			continue
		}
		if p.names[0].any && !strings.HasPrefix(text, "**/") {
			text = "**/" + text
		}
		if p.inside {
			text += "/*"
		}
		patterns = append(patterns, text)
	}
	return patterns
}

// isPlain reports whether a pattern means the same in both syntaxes.
func isPlain(text string) bool {
	for name := range strings.SplitSeq(text, "/") {
		if name == "" || name == "." || name == ".." || name == "**" {
			return false
		}
		for _, c := range name {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.*", c) {
				return false
			}
		}
		if strings.Contains(name, "**") {
			return false
		}
	}
	return true
}
