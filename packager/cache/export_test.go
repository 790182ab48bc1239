package cache

// Has reports whether there is an entry, without reading its blob, which may
// turn out to be spoiled.
func (c *Cache) Has(key string) bool {
	if c == nil {
		return false
	}
	e, _, err := c.readEntry(entryName(key))
	if err != nil || e.Blob == nil {
		return err == nil
	}
	info, err := c.root.Stat(e.Blob.name())
	return err == nil && info.Mode().IsRegular() && info.Size() == e.Blob.Size
}

// Unfinished makes a file of a new name, as writers do.
func (c *Cache) Unfinished(do func(name string) error) (string, error) { return c.unfinished(do) }
