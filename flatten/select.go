package flatten

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/xrash/smetrics"
)

// Select returns the refs that match a pattern: id@version, an id that has a single version, or a
// glob on the id, such as acme/* ("*" also matches slashes), with or without a version. The result
// has the order of refs. A pattern without a match is an error that names similar refs.
func Select(pattern string, refs []Ref) ([]Ref, error) {
	id, version, hasVersion := strings.Cut(pattern, "@")
	isGlob := strings.ContainsAny(pattern, "*?")
	idFits, versionFits := glob(id), glob(version)
	var found []Ref
	for _, r := range refs {
		if idFits(r.ID) && (!hasVersion || versionFits(r.Version)) {
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("unknown buildpack %q%s", Clip(pattern), hint(pattern, refs))
	case len(found) > 1 && !isGlob && !hasVersion:
		return nil, fmt.Errorf("ambiguous buildpack %q: found %s; name one", pattern, Few(found))
	}
	return found, nil
}

// selectAll is Select for a list of patterns.
func selectAll(patterns []string, refs []Ref) ([]Ref, error) {
	var all []Ref
	var errs []error
	for _, p := range patterns {
		found, err := Select(p, refs)
		errs = append(errs, err)
		for _, r := range found {
			if !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	return all, errors.Join(errs...)
}

func glob(pattern string) func(string) bool {
	expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	re, err := regexp.Compile("^(?s:" + expr + ")$")
	if err != nil { // invalid UTF-8, or too long: matches nothing
		return func(string) bool { return false }
	}
	return re.MatchString
}

// hint returns the hint for a pattern without a match.
func hint(pattern string, refs []Ref) string {
	if strings.Contains(pattern, " ") {
		return "; separate buildpacks with commas"
	}
	var names []string
	for _, r := range refs {
		names = append(names, r.String())
	}
	near := NearMisses(pattern, names)
	if len(near) == 0 {
		return "; name one of " + Few(refs)
	}
	return "; did you mean " + AnyOf(near) + "?"
}

// AnyOf joins names as alternatives: "a, b or c".
func AnyOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Clip shortens input that a message quotes.
func Clip(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// NearMisses returns up to three of the names that are similar to word, the most similar first. Of
// names id@version, only those with the id of word count, if there are any. It compares word with
// each name once.
func NearMisses(word string, names []string) []string {
	if id, _, versioned := strings.Cut(word, "@"); versioned {
		otherID := func(n string) bool { return !strings.HasPrefix(n, id+"@") }
		if same := slices.DeleteFunc(slices.Clone(names), otherID); len(same) > 0 {
			names = same
		}
	}
	like := func(name string) float64 {
		return smetrics.JaroWinkler(strings.ToLower(word), strings.ToLower(name), 0.7, 4)
	}
	near := map[string]float64{}
	for _, name := range names {
		near[name] = max(like(name), like(path.Base(name))) // ids are often written without their owner
	}
	close := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return near[n] < 0.8 })
	slices.SortStableFunc(close, func(a, b string) int { return cmp.Or(cmp.Compare(near[b], near[a]), strings.Compare(a, b)) })
	return close[:min(3, len(close))]
}

// JoinRefs joins refs with a separator.
func JoinRefs(refs []Ref, sep string) string {
	var s []string
	for _, r := range refs {
		s = append(s, r.String())
	}
	return strings.Join(s, sep)
}
