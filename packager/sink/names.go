package sink

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"laminate/flatten"
	"laminate/packager/location"
	"laminate/packager/scratch"
)

// fileNames returns a unique file name for every target: path for a single target, otherwise
// NAME-os-arch.ext, with variant and then distribution added if names would clash.
func fileNames(path string, targets []flatten.Target) ([]string, error) {
	if len(targets) == 1 {
		return []string{path}, nil
	}
	stem, ext := cutExtension(path)
	names := make([]string, len(targets))
	for i, t := range targets {
		parts := []string{t.OS, t.Arch}
		if among(targets, func(o flatten.Target) bool { return o.OS == t.OS && o.Arch == t.Arch }) {
			parts = append(parts, t.Variant)
			if among(targets, func(o flatten.Target) bool {
				return o.OS == t.OS && o.Arch == t.Arch && o.Variant == t.Variant
			}) {
				for _, d := range t.Distros {
					parts = append(parts, d.Name, d.Version)
				}
			}
		}
		parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
		names[i] = strings.Join(append([]string{stem}, parts...), "-") + ext
		if strings.ContainsAny(strings.Join(parts, ""), `/\`) {
			return nil, fmt.Errorf("output %s: target %q cannot be part of a file name", path, t)
		}
	}
	return names, clashes(names, targets)
}

// IsOutput returns a function that reports whether a path, absolute and without symbolic links, is
// the destination, one of its files for several targets, or a scratch directory beside them.
func IsOutput(dest location.Location) func(path string) bool {
	place, err := filepath.Abs(dest.Path)
	if err != nil || dest.Path == "" {
		return func(string) bool { return false }
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(place)); err == nil {
		place = filepath.Join(dir, filepath.Base(place))
	}
	stem, ext := cutExtension(place)
	return func(path string) bool {
		if filepath.Dir(path) != filepath.Dir(place) {
			return false
		}
		ofTarget := dest.Kind != location.OCILayout && strings.HasPrefix(path, stem+"-linux") && strings.HasSuffix(path, ext)
		return path == place || ofTarget || scratch.Is(filepath.Base(path))
	}
}

// among reports whether more than one target fits.
func among(targets []flatten.Target, fits func(flatten.Target) bool) bool {
	n := 0
	for _, t := range targets {
		if fits(t) {
			n++
		}
	}
	return n > 1
}

func clashes(names []string, targets []flatten.Target) error {
	var wrong []error
	first := map[string]flatten.Target{}
	for i, n := range names {
		if t, taken := first[n]; taken {
			wrong = append(wrong, fmt.Errorf("output %s: conflict between target %q and target %q", n, t, targets[i]))
			continue
		}
		first[n] = targets[i]
	}
	return errors.Join(wrong...)
}

// cutExtension splits off ".cnb", ".tar" or ".tar.gz", but not the ".2" of "go-1.2".
func cutExtension(path string) (stem, ext string) {
	ext = filepath.Ext(path)
	stem = strings.TrimSuffix(path, ext)
	if len(ext) < 2 || !unicode.IsLetter(rune(ext[1])) || filepath.Base(path) == ext {
		return path, ""
	}
	if strings.HasSuffix(stem, ".tar") && filepath.Base(stem) != ".tar" {
		return strings.TrimSuffix(stem, ".tar"), ".tar" + ext
	}
	return stem, ext
}
