package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"laminate/packager/filesys"
	"laminate/packager/localfile"
	"laminate/packager/scratch"
)

// Tree is a directory tree in the cache. As long as it is open, no other run removes it.
type Tree struct {
	// Path is the path of the tree's root directory. The caller must not modify the tree.
	Path string

	lock *os.File
}

// Close allows other runs to remove the tree. It does nothing on a nil *Tree, and when called
// again.
func (t *Tree) Close() error {
	if t == nil || t.lock == nil {
		return nil
	}
	err := t.lock.Close()
	t.lock = nil
	return err
}

// Filling makes trees; see [Cache.Tree].
type Filling struct {
	// Make fills an empty directory, whose mode it may change. All directories in it must be
	// writable and searchable by their owner, so that they can be removed. It returns a record, any
	// JSON value, and the size on disk.
	Make func(ctx context.Context, dir string) (record any, size int64, err error)
	// Check, if not nil, returns an error for a tree that was damaged since it was made.
	Check func(dir string, record json.RawMessage) error
}

// files of a tree.
const (
	treeRecord = "tree" // as an entry, without a blob
	treeRoot   = "root"
)

// sized is the record of a tree in its entry.
type sized struct {
	Size   int64           `json:"size"`
	Record json.RawMessage `json:"record"`
}

// waitForTree is the time between looks at a tree that another run is making.
const waitForTree = 50 * time.Millisecond

// Tree returns the tree of a key, and decodes its record into value, a pointer or nil. If there is
// none, it is made; if another run is just making it, Tree waits for it. A tree appears in the
// cache when it is complete: what a killed run leaves is in a scratch directory, which the next
// run removes. The caller must close the tree.
//
// An error of Make is returned as it is. The cache must not be nil.
func (c *Cache) Tree(ctx context.Context, key string, value any, f Filling) (*Tree, error) {
	name := treeName(key)
	for {
		if t, err := c.openTree(name, key, value, f.Check); t != nil || err != nil {
			return t, err
		}
		claim, err := scratch.Claim(tempPlace{c.root}, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.dir, localfile.Reason(err))
		}
		if claim != nil {
			t, err := c.makeTree(ctx, claim.Name, key, value, f)
			if err = errors.Join(err, claim.Remove()); err != nil {
				return nil, errors.Join(err, t.Close())
			}
			if t != nil {
				return t, nil
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(waitForTree):
		}
	}
}

func treeName(key string) string { return shard(trees, path.Base(entryName(key))) }

// makeTree makes a tree in a claimed directory, and moves it to its name. It returns nil if the
// tree is there already.
func (c *Cache) makeTree(ctx context.Context, claimed, key string, value any, f Filling) (_ *Tree, err error) {
	name := treeName(key)
	if t, err := c.openTree(name, key, value, f.Check); t != nil || err != nil {
		return t, err
	}
	claimed = path.Join(temps, claimed)
	if err := c.emptied(claimed); err != nil {
		return nil, err
	}
	beside := path.Join(claimed, "tree")
	if err := errors.Join(c.root.Mkdir(beside, 0o700), c.root.Mkdir(path.Join(beside, treeRoot), 0o755)); err != nil {
		return nil, err
	}
	record, size, err := f.Make(ctx, filepath.Join(c.dir, filepath.FromSlash(beside), treeRoot))
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	data, err := encode(key, sized{size, raw}, nil)
	if err == nil {
		err = c.root.WriteFile(path.Join(beside, treeRecord), data, 0o600)
	}
	if err != nil {
		return nil, err
	}
	// Locked before others can see it, so that none of them removes it first.
	lock, err := c.lockTree(beside, filesys.TryShare)
	if err == nil && lock == nil {
		err = errGone
	}
	if err == nil {
		err = c.place(beside, name)
	}
	if err == nil && value != nil {
		err = json.Unmarshal(raw, value)
	}
	t := &Tree{Path: filepath.Join(c.dir, filepath.FromSlash(name), treeRoot), lock: lock}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", c.dir, localfile.Reason(err)), t.Close())
	}
	c.wrote.Store(true)
	return t, nil
}

// emptied removes what a killed run has left in a claimed directory.
func (c *Cache) emptied(dir string) error {
	left, err := fs.ReadDir(c.root.FS(), dir)
	for _, e := range left {
		err = errors.Join(err, c.root.RemoveAll(path.Join(dir, e.Name())))
	}
	return err
}

// openTree opens a tree and shares its lock. It returns nil if there is none, and removes an
// invalid one.
func (c *Cache) openTree(name, key string, value any, check func(string, json.RawMessage) error) (*Tree, error) {
	lock, err := c.lockTree(name, filesys.TryShare)
	if lock == nil {
		return nil, err
	}
	e, err := c.readTree(name)
	var s sized
	if err == nil && (e.Key != key || json.Unmarshal(e.Record, &s) != nil) {
		err = errSpoiled
	}
	if err == nil && value != nil && json.Unmarshal(s.Record, value) != nil {
		err = errSpoiled
	}
	dir := filepath.Join(c.dir, filepath.FromSlash(name), treeRoot)
	if err == nil && check != nil {
		err = check(dir, s.Record)
	}
	if err == nil {
		now := time.Now()
		_ = c.root.Chtimes(path.Join(name, treeRecord), now, now) // the cache may be read-only
		return &Tree{Path: dir, lock: lock}, nil
	}
	if err := lock.Close(); err != nil {
		return nil, err
	}
	removed, gone := c.removeTree(name)
	if gone == nil && !removed {
		gone = fmt.Errorf("%s: damaged (%w), and another run uses it; try again when that has ended", dir, err)
	}
	return nil, gone
}

// lockTree opens and locks the directory of a tree. It returns nil if there is none, or if another
// run holds a lock that excludes this one. It removes a file in place of the directory.
func (c *Cache) lockTree(name string, try func(*os.File) (bool, error)) (*os.File, error) {
	c.dropLinks(name)
	f, err := c.root.OpenFile(name, os.O_RDONLY|filesys.OnlyDirectory|filesys.NoFollow|filesys.NoWait, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, c.root.Remove(name)
	}
	if err != nil {
		return nil, err
	}
	got, err := try(f)
	if err != nil {
		err = fmt.Errorf("%s: locks are not available there: %w", c.dir, localfile.Reason(err))
	} else if got {
		now, errNow := c.root.Lstat(name)
		then, errThen := f.Stat()
		if got = errNow == nil && errThen == nil && os.SameFile(now, then); got {
			return f, nil
		}
	}
	return nil, errors.Join(err, f.Close())
}

// readTree reads the record of a tree. The error is errSpoiled if it is invalid.
func (c *Cache) readTree(name string) (entry, error) {
	f, _, err := c.open(path.Join(name, treeRecord))
	if err != nil {
		return entry{}, errSpoiled
	}
	data, err := io.ReadAll(io.LimitReader(f, maxEntry+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return entry{}, errSpoiled
	}
	e, err := decode(data)
	if err == nil && treeName(e.Key) != name {
		err = errSpoiled
	}
	return e, err
}

// removeTree removes a tree, and reports whether it has: not while another run uses it. A
// killed run leaves no part of it that counts as a tree.
func (c *Cache) removeTree(name string) (bool, error) {
	lock, err := c.lockTree(name, filesys.TryLock)
	if lock == nil {
		return false, err
	}
	_ = c.root.RemoveAll(path.Join(name, treeRecord)) // without it, the tree is invalid
	err = c.discard(name)
	return err == nil, errors.Join(err, lock.Close())
}

// cleanTrees removes all trees that no run uses.
func (c *Cache) cleanTrees() error {
	if info, err := c.root.Lstat(trees); err == nil && !info.IsDir() {
		return c.root.Remove(trees)
	}
	all, err := c.listTrees(context.Background())
	for _, f := range all {
		_, failed := c.removeTree(f.name)
		err = errors.Join(err, failed)
	}
	return err
}

// listTrees lists the trees with their sizes on disk. Invalid ones have the size 0 and count as not
// used for long.
func (c *Cache) listTrees(ctx context.Context) ([]file, error) {
	var all []file
	shards, err := fs.ReadDir(c.root.FS(), trees)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	for _, s := range shards {
		names, failed := fs.ReadDir(c.root.FS(), path.Join(trees, s.Name()))
		if failed != nil && !errors.Is(failed, fs.ErrNotExist) && !errors.Is(failed, syscall.ENOTDIR) {
			err = errors.Join(err, failed)
		}
		for _, d := range names {
			all = append(all, c.treeFile(path.Join(trees, s.Name(), d.Name())))
		}
	}
	return all, errors.Join(err, ctx.Err())
}

func (c *Cache) treeFile(name string) file {
	f := file{name: name}
	info, err := c.root.Lstat(path.Join(name, treeRecord))
	if err != nil {
		return f
	}
	var s sized
	if e, err := c.readTree(name); err == nil && json.Unmarshal(e.Record, &s) == nil {
		f.size, f.used = max(s.Size, 0)+block, info.ModTime()
	}
	return f
}
