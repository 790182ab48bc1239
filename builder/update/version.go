package update

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// tagForm matches strict semantic versions, with an optional v; build metadata is invalid in tags.
var tagForm = regexp.MustCompile(`^(v?)((?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*))(?:-([0-9A-Za-z.-]+))?$`)

// Parts of a suffix between dashes that make a pre-release: a word with numbers, or just numbers.
var (
	preWord = regexp.MustCompile(`(?i)^(?:a|alpha|b|beta|c|rc|cr|pre|preview|dev|snapshot|nightly|canary|edge|next|m|milestone|ea|test)[.]?[0-9]*(?:\.[0-9]+)*$`)
	numbers = regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)*$`)
)

// version is a tag that is a version.
type version struct {
	tag     string
	v       string // "v" or ""
	variant string
	core    *semver.Version // with pre-release, without variant
}

// parseVersion parses a tag, and returns false if it is not a version.
func parseVersion(tag string) (version, bool) {
	m := tagForm.FindStringSubmatch(tag)
	if m == nil {
		return version{}, false
	}
	pre, variant := splitSuffix(m[3])
	text := m[2]
	if pre != "" {
		text += "-" + pre
	}
	core, err := semver.StrictNewVersion(text)
	if err != nil {
		return version{}, false
	}
	return version{tag: tag, v: m[1], variant: variant, core: core}, true
}

// splitSuffix separates the pre-release from the variant. Numbers count as a pre-release at the
// beginning, or after another part of one: x86-64 is a variant.
func splitSuffix(suffix string) (pre, variant string) {
	if suffix == "" {
		return "", ""
	}
	var pres, variants []string
	inPre := true
	for part := range strings.SplitSeq(suffix, "-") {
		if inPre = preWord.MatchString(part) || inPre && numbers.MatchString(part); inPre {
			pres = append(pres, part)
		} else {
			variants = append(variants, part)
		}
	}
	return strings.Join(pres, "-"), strings.Join(variants, "-")
}

// sameShape reports whether two versions are of one series: the same variant, and both with v or
// both without.
func (a version) sameShape(b version) bool { return a.v == b.v && a.variant == b.variant }

func (a version) isPre() bool { return a.core.Prerelease() != "" }

// compare orders versions of one series. Different spellings of one version are equal.
func (a version) compare(b version) int { return a.core.Compare(b.core) }

// String returns the tag.
func (a version) String() string { return a.tag }

// Only limits how far versions move.
type Only string

// The limits: a higher patch of the same minor version, a higher minor of the same major version,
// or any.
const (
	Patch Only = "patch"
	Minor Only = "minor"
	Major Only = "major"
)

// ParseOnly parses a limit.
func ParseOnly(s string) (Only, error) {
	switch o := Only(s); o {
	case Patch, Minor, Major:
		return o, nil
	}
	return "", fmt.Errorf("invalid value %q; write patch, minor or major", s)
}

// allows reports whether a version may move so far.
func (o Only) allows(from, to version) bool {
	same := from.core.Major() == to.core.Major()
	switch cmp.Or(o, Major) {
	case Patch:
		return same && from.core.Minor() == to.core.Minor()
	case Minor:
		return same
	}
	return true
}

// limits are all that limits a reference.
type limits struct {
	only Only
	constraint
}

// allows returns "" if the reference may move, or what forbids it.
func (l limits) allows(from, to version) string {
	switch {
	case l.pin:
		return "pin"
	case l.ranges != nil && !l.contains(to):
		return l.text
	case !l.only.allows(from, to):
		return "--only " + string(l.only)
	}
	return ""
}
