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
	// nameLimit bounds the names of an archive's entries.
	nameLimit = 4096
	// namesLimit bounds all names of one archive or directory together, which
	// are held in memory, with what links lead to.
	namesLimit = 64 << 20
	// depthLimit bounds the components of a path in an archive.
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
		return fmt.Errorf("it has more than the limit of %d entries", c.limits.Entries)
	case c.names > namesLimit:
		return fmt.Errorf("its entries have names of more than the limit of %d bytes", namesLimit)
	}
	return nil
}

// readAll reads a document that is to be held in memory.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, documentLimit+1))
	if err == nil && len(data) > documentLimit {
		err = fmt.Errorf("it is larger than %d MiB", documentLimit>>20)
	}
	return data, err
}
