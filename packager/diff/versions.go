package diff

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// canonical returns a version as package semver reads it.
func canonical(version string) string { return "v" + strings.TrimPrefix(version, "v") }

// isVersion reports whether a version has an order.
func isVersion(version string) bool { return semver.IsValid(canonical(version)) }

// compareVersions orders versions; those without an order come first, as plain strings.
func compareVersions(a, b string) int {
	return cmp.Or(semver.Compare(canonical(a), canonical(b)), strings.Compare(a, b))
}

// changeOf returns how one version replaces another.
func changeOf(from, to string) string {
	order := semver.Compare(canonical(from), canonical(to))
	switch {
	case !isVersion(from) || !isVersion(to) || order == 0:
		return Changed
	case order < 0:
		return Upgraded
	}
	return Downgraded
}

// pair is a version that replaces another. One of the two is empty for what is added or removed.
type pair struct{ from, to string }

// lines divide the versions of an id, finest first: minor lines, major lines, all in one.
var lines = [3]func(version string) string{
	func(v string) string { return semver.MajorMinor(canonical(v)) },
	func(v string) string { return semver.Major(canonical(v)) },
	func(string) string { return "" },
}

// candidate is a pair that may be made.
type candidate struct {
	pair
	line   int // index of the finest line that both are in
	shared int // composites
}

// pairVersions pairs the versions of an id that only one side has, as a person would: within a minor
// line (1.2.3 -> 1.2.4) before a major line (2.0.0 -> 2.1.0) before the rest; of several, those that
// the same composites use, and then the newest. Shared returns the number of composites that use
// both versions. Without such, a line in which a version stays has no successor: where 1.1 and 1.2
// become 1.2 and 1.3, 1.1 is removed and 1.3 is added. Swapping the sides swaps the pairs.
func pairVersions(old, new []string, shared func(from, to string) int) (pairs []pair) {
	in := func(versions []string) func(string) bool {
		return func(v string) bool { return slices.Contains(versions, v) }
	}
	from := slices.DeleteFunc(slices.Clone(old), in(new))
	to := slices.DeleteFunc(slices.Clone(new), in(old))
	var stays [3]map[string]bool // of each of lines
	for i, line := range lines {
		stays[i] = map[string]bool{}
		for _, v := range slices.DeleteFunc(slices.Clone(old), in(from)) {
			stays[i][line(v)] = true
		}
	}
	var candidates []candidate
	for _, f := range from {
		for _, t := range to {
			c := candidate{pair: pair{f, t}}
			for lines[c.line](f) != lines[c.line](t) {
				c.line++
			}
			if c.shared = shared(f, t); c.shared > 0 || !stays[c.line][lines[c.line](f)] {
				candidates = append(candidates, c)
			}
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(a.line-b.line, b.shared-a.shared, compareVersions(b.from, a.from), compareVersions(b.to, a.to))
	})
	paired := map[pair]bool{}
	for _, c := range candidates {
		if f, t := (pair{from: c.from}), (pair{to: c.to}); !paired[f] && !paired[t] {
			paired[f], paired[t] = true, true
			pairs = append(pairs, c.pair)
		}
	}
	for _, v := range from {
		if !paired[pair{from: v}] {
			pairs = append(pairs, pair{from: v})
		}
	}
	for _, v := range to {
		if !paired[pair{to: v}] {
			pairs = append(pairs, pair{to: v})
		}
	}
	return pairs
}
