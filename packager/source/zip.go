package source

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"

	"laminate/flatten/layer"
	"laminate/packager/localfile"
	"laminate/packager/stream"
)

// linkLimit is the maximum length of the target of a symbolic link in a zip file.
const linkLimit = 4096

// readZip lists a zip file. It verifies and spools contents.
func (o *Opener) readZip(ctx context.Context, file original) (_ *archive, err error) {
	limits := o.Limits.OrDefault()
	r, err := localfile.Open(file.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	z, err := zipDirectory(r, file.info.Size(), limits.Entries)
	if err != nil {
		return nil, err
	}
	if err := zipOverlap(ctx, z.File); err != nil {
		return nil, err
	}
	spool := &spooler{dir: o.WorkDir}
	defer func() { err = errors.Join(err, spool.close()) }()
	a := newArchive(limits, file.info.Size())
	for _, f := range z.File {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := a.begin(f.Name, "", int64(min(f.UncompressedSize64, math.MaxInt64))); err != nil {
			return nil, err
		}
		if err := a.zipEntry(ctx, f, spool); err != nil {
			if !a.problem("%w", err) {
				break
			}
		}
	}
	return a, a.err()
}

// zipEntry adds an entry. Modes are those of archive/zip; files from FAT, which has no modes, are
// executable, as in pack.
func (a *archive) zipEntry(ctx context.Context, f *zip.File, spool *spooler) error {
	if strings.ContainsRune(f.Name, '\\') {
		return fmt.Errorf("entry %q has an invalid name; zip files must not use backslashes", f.Name)
	}
	name, err := a.place(f.Name)
	if err != nil {
		return err
	}
	entry := layer.File{Path: name, Mode: f.Mode(), Size: int64(f.UncompressedSize64)}
	if creator := f.CreatorVersion >> 8; creator == 0 || creator == 14 {
		entry.Mode |= 0o777
	}
	if f.Flags&1 != 0 {
		return fmt.Errorf("%s is encrypted", name)
	}
	switch {
	case name == "" && entry.Mode.IsDir():
		return nil
	case name == "":
		return fmt.Errorf("entry %q is the root but not a directory", f.Name)
	case entry.Mode.IsDir():
		entry.Size = 0
	case entry.Mode&fs.ModeSymlink != 0:
		if entry.Link, err = zipLink(f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		entry.Size = 0
	case entry.Mode.IsRegular():
		rc, err := f.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		entry.Open, err = spool.keep(stream.WithContext(ctx, rc), entry.Size)
		if err := errors.Join(err, rc.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return a.add(entry)
}

// zipLink reads the target of a symbolic link, which is the content of its entry.
func zipLink(f *zip.File) (string, error) {
	if f.UncompressedSize64 > linkLimit {
		return "", errors.New("the target of the symbolic link is too long")
	}
	rc, err := f.Open()
	if err != nil {
		return "", err
	}
	target, err := io.ReadAll(io.LimitReader(rc, linkLimit))
	return string(target), errors.Join(err, rc.Close())
}
