package smoke

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

const (
	// scriptStart is how much of a script has the line with its interpreter, as for Linux.
	scriptStart = 256
	// linksFollowed is how many symbolic links are followed for one path, as Linux does.
	linksFollowed = 40
)

// warnOfInterpreters warns of scripts that detect whose interpreters the builder does not have. For
// them the lifecycle says only that there is no such file.
func (s *Session) warnOfInterpreters() error {
	root, err := os.OpenRoot(s.root.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	scripts := map[string][]string{} // by their interpreter
	if err := interpreters(root, scripts); err != nil {
		return err
	}
	if s.added != nil && s.added.root != nil {
		more, err := os.OpenRoot(s.added.root.Path)
		if err != nil {
			return err
		}
		defer more.Close()
		if err := interpreters(more, scripts); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(scripts)) {
		if hasFile(root, name) {
			continue
		}
		which := clip("/" + scripts[name][0])
		if more := len(scripts[name]) - 1; more > 0 {
			which += fmt.Sprintf(" and %d more", more)
		}
		s.Log.Warn(fmt.Sprintf("%s has no %s, the interpreter of %s; its build image must have it", s.Builder.Name, clip(name), which))
	}
	return nil
}

// interpreters adds the bin/detect scripts of a tree to the lists of their interpreters.
func interpreters(root *os.Root, scripts map[string][]string) error {
	files, err := fs.Glob(root.FS(), strings.TrimPrefix(buildpacksDir, "/")+"*/*/bin/detect")
	if err != nil {
		return err
	}
	for _, file := range files {
		f, err := root.Open(file)
		if err != nil {
			continue // the lifecycle has more to say about it
		}
		line, _ := bufio.NewReader(io.LimitReader(f, scriptStart)).ReadString('\n')
		f.Close()
		line, is := strings.CutPrefix(line, "#!")
		if words := strings.Fields(line); is && len(words) > 0 && path.IsAbs(words[0]) {
			scripts[words[0]] = append(scripts[words[0]], file)
		}
	}
	return nil
}

// hasFile reports whether a tree has a file at an absolute path. Symbolic links in it are followed as
// they are where the tree is the root. A file that cannot be looked up counts as there.
func hasFile(root *os.Root, name string) bool {
	done, rest := ".", strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		at := path.Join(done, part)
		info, err := root.Lstat(at)
		if err != nil {
			return !errors.Is(err, fs.ErrNotExist)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = at
			continue
		}
		target, err := root.Readlink(at)
		if err != nil {
			return true
		}
		if links++; links > linksFollowed {
			return false
		}
		if path.IsAbs(target) {
			done = "."
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return true
}
