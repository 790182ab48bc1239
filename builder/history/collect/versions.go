package collect

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// versionTag matches semantic versions, with or without v, and X.Y.
var versionTag = regexp.MustCompile(`^v?[0-9]+\.[0-9]+(\.[0-9]+(-[0-9A-Za-z.-]+)?)?$`)

// Versions returns the tags that are versions, in order, and the number of other tags. X.Y does not
// count if there is an X.Y.Z, since it moves. Of 1.2.3 and v1.2.3 the first counts.
func Versions(tags []string) (versions []string, others int) {
	exact := map[string]bool{} // the X.Y of all X.Y.Z
	for _, t := range tags {
		if !IsVersion(t) {
			continue
		}
		versions = append(versions, t)
		if !isShort(t) {
			exact[semver.MajorMinor(canonical(t))] = true
		}
	}
	versions = slices.DeleteFunc(versions, func(t string) bool { return isShort(t) && exact[semver.MajorMinor(canonical(t))] })
	slices.SortFunc(versions, compare)
	versions = slices.CompactFunc(versions, func(a, b string) bool { return semver.Compare(canonical(a), canonical(b)) == 0 })
	return versions, len(tags) - len(versions)
}

// IsVersion reports whether a tag, or a value of Options.Since, is a version.
func IsVersion(s string) bool {
	return len(s) <= 128 && versionTag.MatchString(s) && semver.IsValid(canonical(s))
}

// compare is a total order of versions, including different spellings of equal ones.
func compare(a, b string) int {
	return cmp.Or(semver.Compare(canonical(a), canonical(b)), cmp.Compare(a, b))
}

// canonical returns a version in the form of package semver.
func canonical(s string) string { return "v" + strings.TrimPrefix(s, "v") }

func isShort(s string) bool { return strings.Count(s, ".") == 1 }
