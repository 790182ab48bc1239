package sink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"laminate/packager/filesys"
	"laminate/packager/progress"
	"laminate/packager/scratch"
)

// lockPause is the delay between attempts to lock.
const lockPause = 25 * time.Millisecond

// lockPatience is how long to wait before logging it.
var lockPatience = time.Second

// lockDir locks a directory, waiting for other processes, until unlock is called or the process
// ends. It does nothing if the file system has no locks.
func lockDir(ctx context.Context, dir string, log progress.Log) (unlock func() error, err error) {
	return wait(ctx, dir, log, func() (func() error, error) {
		f, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		locked, err := tryLock(f)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close())
		}
		if locked && isAt(f, dir) {
			return f.Close, nil // closing it unlocks
		}
		return nil, f.Close()
	})
}

// lockName is like lockDir for a directory that does not exist yet. It does not lock the parent
// directory.
func lockName(ctx context.Context, path string, log progress.Log) (unlock func() error, err error) {
	beside := scratch.At(filepath.Dir(path))
	return wait(ctx, path, log, func() (func() error, error) {
		dir, err := scratch.Claim(beside, filepath.Base(path))
		if dir == nil || err != nil {
			return nil, err
		}
		return func() error {
			_ = dir.Remove() // an empty directory may remain, which is harmless
			return nil
		}, nil
	})
}

// wait calls try until it succeeds. After a second it logs what it waits for.
func wait(ctx context.Context, what string, log progress.Log, try func() (unlock func() error, err error)) (func() error, error) {
	patience := time.NewTimer(lockPatience)
	defer patience.Stop()
	for {
		if unlock, err := try(); unlock != nil || err != nil {
			return unlock, err
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		select {
		case <-ctx.Done():
		case <-patience.C:
			log.Warn(fmt.Sprintf("waiting for another process to finish writing %s", what))
		case <-time.After(lockPause):
		}
	}
}

// tryLock locks a directory, unless another process holds it, or there are no
// locks.
func tryLock(f *os.File) (bool, error) {
	locked, err := filesys.TryLock(f)
	for _, none := range []error{errors.ErrUnsupported, syscall.ENOLCK, syscall.EBADF, syscall.EINVAL} {
		if errors.Is(err, none) {
			return true, nil
		}
	}
	return locked, err
}

// isAt reports whether a name still refers to an open directory: the process that held the lock may
// have removed it.
func isAt(f *os.File, dir string) bool {
	is, errIs := f.Stat()
	named, errNamed := os.Stat(dir)
	return errIs == nil && errNamed == nil && os.SameFile(is, named)
}
