package cache

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"

	"laminate/packager/scratch"
)

// tempPlace is the directory of scratch directories. It implements [scratch.Place].
type tempPlace struct{ root *os.Root }

func (p tempPlace) Mkdir(name string, perm fs.FileMode) error {
	err := p.root.Mkdir(path.Join(temps, name), perm)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := p.root.MkdirAll(temps, 0o700); err != nil {
		return err
	}
	return p.root.Mkdir(path.Join(temps, name), perm)
}

func (p tempPlace) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return p.root.OpenFile(path.Join(temps, name), flag, perm)
}

func (p tempPlace) Lstat(name string) (fs.FileInfo, error) {
	return p.root.Lstat(path.Join(temps, name))
}

func (p tempPlace) RemoveAll(name string) error { return p.root.RemoveAll(path.Join(temps, name)) }

// unfinished creates a file in this run's scratch directory, which it creates again if it was
// removed.
func (c *Cache) unfinished(do func(name string) error) (name string, err error) {
	for range 100 {
		dir, err := c.scratchName()
		if err != nil {
			return "", err
		}
		name = path.Join(dir, rand.Text())
		if err = do(name); err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if _, gone := c.root.Lstat(dir); gone == nil {
			return "", err // another file is missing
		}
		c.forgetScratch(dir)
	}
	return "", errGone
}

// scratchName returns the path of this run's scratch directory.
func (c *Cache) scratchName() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scratch == nil {
		dir, err := scratch.Make(tempPlace{c.root})
		if err != nil {
			return "", err
		}
		c.scratch = dir
	}
	return path.Join(temps, c.scratch.Name), nil
}

// forgetScratch forgets a scratch directory that was removed, unless another goroutine has already
// replaced it.
func (c *Cache) forgetScratch(dir string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scratch != nil && path.Join(temps, c.scratch.Name) == dir {
		_ = c.scratch.Remove()
		c.scratch = nil
	}
}

// dropScratch removes this run's scratch directory. If that fails, a later run removes it.
func (c *Cache) dropScratch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scratch != nil {
		_ = c.scratch.Remove()
		c.scratch = nil
	}
}

// sweep removes abandoned scratch directories.
func (c *Cache) sweep() {
	tmp, err := c.root.OpenRoot(temps)
	if err != nil {
		return
	}
	defer tmp.Close()
	scratch.SweepRoot(tmp)
}

// Clean removes everything except the trees and the unfinished files of concurrent runs, which
// continue with an empty cache.
func (c *Cache) Clean() error {
	if c == nil {
		return nil
	}
	if info, err := c.root.Lstat(temps); err == nil && !info.IsDir() {
		if err := c.root.Remove(temps); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	c.sweep()
	all := []string{entries, path.Dir(blobs)}
	if tmp, err := fs.ReadDir(c.root.FS(), temps); err == nil {
		for _, e := range tmp {
			if !scratch.Swept(e.Name()) {
				all = append(all, path.Join(temps, e.Name()))
			}
		}
	}
	var errs []error
	for _, name := range all {
		errs = append(errs, c.discard(name))
	}
	return errors.Join(append(errs, c.cleanTrees())...)
}

// discard removes a file or directory that other runs may be writing to: it renames it first.
func (c *Cache) discard(name string) error {
	if _, err := c.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	away, err := c.unfinished(func(away string) error { return c.root.Rename(name, away) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil // already removed by another run
	}
	if err != nil {
		away = name
	}
	// Another run may just be finishing a write to it.
	for range 100 {
		if err = c.root.RemoveAll(away); !errors.Is(err, syscall.ENOTEMPTY) {
			break
		}
	}
	return err
}
