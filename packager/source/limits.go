package source

import (
	"fmt"
	"io"
	"strings"

	"laminate/packager/registry"
	"laminate/packager/stream"
)

const (
	documentLimit = registry.DocumentLimit
	// nameLimit is the maximum length of an entry's name.
	nameLimit = 4096
	// namesLimit is the maximum length of all names and link targets of an archive or directory,
	// which are held in memory.
	namesLimit = 64 << 20
	// depthLimit is the maximum number of components of a path in an archive.
	depthLimit = 256
)

// isDeep reports whether a relative path has more than depthLimit components.
func isDeep(clean string) bool { return strings.Count(clean, "/") >= depthLimit }

// census counts the entries of an archive or a directory.
type census struct {
	limits         stream.Limits
	entries, names int
}

// add counts one entry with so many bytes of names.
func (c *census) add(names int) error {
	c.entries, c.names = c.entries+1, c.names+names
	switch {
	case c.entries > c.limits.Entries:
		return fmt.Errorf("too many entries; the limit is %d", c.limits.Entries)
	case c.names > namesLimit:
		return fmt.Errorf("names of entries exceed the limit of %d bytes", namesLimit)
	}
	return nil
}

// readAll reads a document into memory.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, documentLimit+1))
	if err == nil && len(data) > documentLimit {
		err = fmt.Errorf("larger than %d MiB", documentLimit>>20)
	}
	return data, err
}
