package config

import (
	"fmt"
	"slices"
	"strings"

	"laminate/flatten"
)

// ForLinux returns the supported targets of a file. It skips others with a warning. If none is
// supported, it returns all, for the caller to refuse.
func (d Doc) ForLinux(targets []flatten.Target) ([]flatten.Target, Problems) {
	isOther := func(t flatten.Target) bool { return t.OS != "linux" && t.OS != "" }
	kept := slices.DeleteFunc(slices.Clone(targets), isOther)
	if len(kept) == 0 || len(kept) == len(targets) {
		return targets, nil
	}
	var skipped []string
	for _, t := range targets {
		if isOther(t) {
			skipped = append(skipped, t.String())
		}
	}
	return kept, Problems{d.Warning(fmt.Sprintf("target %s skipped; laminate makes images for linux only", strings.Join(skipped, ", ")), "targets", slices.IndexFunc(targets, isOther))}
}
