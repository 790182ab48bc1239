package cache

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"laminate/packager/scratch"
)

// deadAfter is the age at which a blob without an entry, or a temporary file on a file system
// without locks, counts as abandoned. A run that was suspended for longer loses only its cache
// entry.
const deadAfter = time.Hour

// block is the minimum disk space of a file.
const block = 4096

// file is one file of the cache.
type file struct {
	name string
	size int64 // disk space
	used time.Time
}

func (f file) dead() bool { return time.Since(f.used) > deadAfter }

// low returns the size to trim the cache to: less than its limit, so that not every run has to
// trim.
func (c *Cache) low() int64 { return c.limit - c.limit/10 }

// Trim removes abandoned files. If the cache exceeds its limit, it also removes invalid and
// unreferenced files, then the least recently used entries and trees, until a tenth of the limit is free.
func (c *Cache) Trim(ctx context.Context) error {
	if c == nil {
		return nil
	}
	unfinished, err := c.list(ctx, temps)
	if err != nil {
		return err
	}
	kept, err := c.list(ctx, entries)
	if err != nil {
		return err
	}
	held, err := c.list(ctx, blobs)
	if err != nil {
		return err
	}
	grown, err := c.listTrees(ctx)
	if err != nil {
		return err
	}
	t := trimming{cache: c, total: sum(unfinished) + sum(kept) + sum(held) + sum(grown)}
	for _, f := range unfinished {
		if f.dead() && !isHeld(f.name) {
			t.remove(f)
		}
	}
	if t.total <= c.limit {
		return t.err
	}
	if err := t.evict(ctx, kept, held, grown); err != nil {
		return err
	}
	return t.err
}

// isHeld reports whether an unfinished file is in a scratch directory with a lock, which is removed
// once its run has ended.
func isHeld(name string) bool {
	dir, _, _ := strings.Cut(strings.TrimPrefix(name, temps+"/"), "/")
	return scratch.Swept(dir)
}

// trimming is one run of Trim.
type trimming struct {
	cache *Cache
	total int64
	err   error // the first error
}

// remove removes a file, which may already be gone.
func (t *trimming) remove(f file) {
	err := t.cache.root.Remove(f.name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.total -= f.size
	} else {
		t.err = cmp.Or(t.err, err)
	}
}

// removeTree removes a tree that no run uses.
func (t *trimming) removeTree(f file) {
	switch removed, err := t.cache.removeTree(f.name); {
	case err != nil:
		t.err = cmp.Or(t.err, err)
	case removed:
		t.total -= f.size
	}
}

// evict removes invalid files first, then the least recently used: entries, blobs with their last
// entry, blobs without an entry, and trees that no run uses. It removes an entry before its blob, so that a killed run
// leaves no entry without its blob.
func (t *trimming) evict(ctx context.Context, kept, held, grown []file) error {
	blobOf := map[string]file{}
	for _, b := range held {
		blobOf[b.name] = b
	}
	names, naming, err := t.read(ctx, kept, blobOf)
	if err != nil {
		return err
	}
	for _, b := range held {
		switch {
		case naming[b.name] > 0:
		case b.dead():
			t.remove(b)
		default:
			kept = append(kept, b)
			names[b.name] = ""
		}
	}
	isTree := map[string]bool{}
	for _, f := range grown {
		isTree[f.name] = true
	}
	kept = append(kept, grown...)
	slices.SortFunc(kept, func(a, b file) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	for _, f := range kept {
		if t.total <= t.cache.low() || ctx.Err() != nil {
			break
		}
		if isTree[f.name] {
			t.removeTree(f)
			continue
		}
		blob, may := names[f.name]
		if !may {
			continue
		}
		t.remove(f)
		if naming[blob]--; blob != "" && naming[blob] == 0 {
			t.remove(blobOf[blob])
		}
	}
	return ctx.Err()
}

// read reads the entries, and removes invalid ones. For each other entry that was not just used or
// replaced, it returns the blob or "", and for each blob the number of entries. Entries were listed
// before blobs, so that their blobs were listed as well.
func (t *trimming) read(ctx context.Context, kept []file, blobOf map[string]file) (names map[string]string, naming map[string]int, _ error) {
	names, naming = map[string]string{}, map[string]int{}
	for _, f := range kept {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		e, used, err := t.cache.readEntry(f.name)
		blob := ""
		if err == nil && e.Blob != nil {
			blob = e.Blob.name()
			naming[blob]++
		}
		_, there := blobOf[blob]
		switch {
		case errors.Is(err, errSpoiled), err == nil && blob != "" && !there && used.Equal(f.used):
			t.remove(f)
		case err == nil && used.Equal(f.used):
			names[f.name] = blob
		}
	}
	return names, naming, nil
}

// list lists the files below a directory, which may be missing. It ignores files that disappear
// meanwhile.
func (c *Cache) list(ctx context.Context, dir string) ([]file, error) {
	var all []file
	err := fs.WalkDir(c.root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				all = append(all, file{name, (info.Size() + block - 1) / block * block, info.ModTime()})
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return cmp.Or(err, ctx.Err())
	})
	return all, err
}

func sum(files []file) (n int64) {
	for _, f := range files {
		n += f.size
	}
	return n
}
