package location

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// forms lists the forms of a source, for messages.
const forms = "a directory, FILE.cnb or an archive (.tgz, .tar, .zip), oci:DIR[:TAG], oci-archive:FILE[:TAG], " +
	"docker-archive:FILE[:REF], docker://REF, docker-daemon:REF, a plain image reference, file://PATH, or an http(s):// URL"

// ParseSource parses the location of a buildpack or an image. Relative paths are relative to base;
// an empty base is the working directory. It accesses the file system only to distinguish a local
// path, which wins, from a plain image reference, and to report missing files.
func ParseSource(s, base string) (Location, error) {
	l, err := parseSource(s, base)
	if err != nil {
		return Location{}, fmt.Errorf("source %q: %w", Redact(s), err)
	}
	l.Written = s
	if l.Kind == HTTP { // other kinds hold no secret
		l.Written = Redact(s)
	}
	return l, nil
}

// ParseListed parses a source in package.toml or builder.toml. It differs from ParseSource in the
// meaning of image references, with docker:// or without: see [Listed].
func ParseListed(s, base string) (Location, error) {
	l, err := ParseSource(s, base)
	if l.Kind == Registry || l.Kind == Name {
		l.Kind = Listed
	}
	return l, err
}

// ListedImage parses an image reference, even if there is a file or directory of that name.
func ListedImage(s, base string) (Location, error) {
	l, err := ParseListed(s, base)
	if l.Kind == Path {
		return Location{Kind: Listed, Ref: s, Written: s}, err
	}
	return l, err
}

func parseSource(s, base string) (Location, error) {
	if err := refuse(s); err != nil {
		return Location{}, err
	}
	if l, ok, err := parseScheme(s); ok || err != nil {
		if err == nil && l.Path != "" {
			l.Path = inBase(l.Path, base)
			if l.Kind == Path { // file://
				err = exists(l.Path)
			}
		}
		return l, err
	}
	file := inBase(s, base)
	switch err := exists(file); {
	case err == nil:
		return Location{Kind: Path, Path: file}, nil
	case NoSecret(s) != nil:
		return Location{}, NoSecret(s)
	case looksLikePath(s), !errors.Is(err, fs.ErrNotExist):
		return Location{}, err
	}
	if err := checkReference(s); err != nil {
		return Location{}, neither(s, err)
	}
	return Location{Kind: Name, Ref: s}, nil
}

// DestOptions are the options of a destination on the command line.
type DestOptions struct {
	// Publish makes a plain REF mean the registry instead of the Docker daemon.
	Publish bool
	// Format is "image", "file", or "" to decide by the name.
	Format string
}

// ParseDest parses a destination. It does not access the file system. Relative paths are relative
// to the working directory.
func ParseDest(s string, o DestOptions) (Location, error) {
	l, err := parseDest(s, o)
	if err == nil {
		err = o.fits(l)
	}
	if err != nil {
		return Location{}, fmt.Errorf("destination %q: %w", Redact(s), err)
	}
	l.Written = s
	return l, nil
}

func parseDest(s string, o DestOptions) (Location, error) {
	if err := refuse(s); err != nil {
		return Location{}, err
	}
	if l, ok, err := parseScheme(s); ok || err != nil {
		if err == nil && l.Kind == Path && l.Path != "" && o.Format == "file" {
			l.Path, err = cnbFile(l.Path)
		}
		return l, err
	}
	switch {
	case o.Format == "file", strings.EqualFold(filepath.Ext(s), ".cnb"):
		file, err := cnbFile(s)
		return Location{Kind: Path, Path: file}, err
	case looksLikePath(s):
		return Location{}, errors.New("ambiguous: it looks like a file; write FILE.cnb, add --format file, or write oci:DIR, oci-archive:FILE or docker-archive:FILE")
	}
	if err := checkReference(s); err != nil {
		return Location{}, fmt.Errorf("invalid image reference (%w); write FILE.cnb, oci:DIR, oci-archive:FILE, docker-archive:FILE, docker://REF, docker-daemon:REF or a plain image reference", err)
	}
	if o.Publish {
		return Location{Kind: Registry, Ref: s}, nil
	}
	return Location{Kind: Daemon, Ref: s}, nil
}

// fits returns an error if the options contradict the destination, or if it cannot be written to.
func (o DestOptions) fits(l Location) error {
	isFile := l.Kind == Path || l.Kind == OCIArchive || l.Kind == DockerArchive
	switch {
	case o.Format != "" && o.Format != "image" && o.Format != "file":
		return fmt.Errorf("unknown format %q; use image or file", o.Format)
	case l.Kind == HTTP:
		return errors.New("unsupported destination: a web server; for a registry write docker://REF")
	case (l.Kind == Registry || l.Kind == Daemon) && strings.Contains(l.Ref, "@"):
		return errors.New("invalid destination: a digest; use a tag")
	case o.Publish && l.Kind != Registry:
		return errors.New("--publish is for registries; leave it out, or write docker://REF")
	case o.Format == "file" && (l.Kind == Registry || l.Kind == Daemon):
		return errors.New("--format file is for files; leave it out, or write FILE.cnb")
	case o.Format == "image" && isFile:
		return errors.New("--format image is for registries, the Docker daemon and OCI layouts; leave it out, or write docker://REF, docker-daemon:REF or oci:DIR")
	}
	return nil
}

// cnbFile appends .cnb where the file's name has no extension, as pack does.
func cnbFile(file string) (string, error) {
	base := filepath.Base(file)
	if strings.HasSuffix(file, "/") || base == "." || base == ".." {
		return "", errors.New("invalid file name; write FILE.cnb")
	}
	if filepath.Ext(file) == "" {
		file += ".cnb"
	}
	return file, nil
}

// windowsPath matches C:\DIR, C:/DIR, \\SHARE and .\DIR.
var windowsPath = regexp.MustCompile(`^(?:[A-Za-z]:[\\/]|\.{0,2}\\)`)

// refuse returns an error for forms that other tools accept and laminate does not.
func refuse(s string) error {
	switch {
	case s == "":
		return errors.New("must not be empty")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("control characters are not allowed")
	case strings.HasPrefix(s, "urn:cnb:registry"):
		return errors.New("the Buildpack Registry is not supported; write the image, as docker://REF")
	case s == "from=builder", strings.HasPrefix(s, "from=builder:"), strings.HasPrefix(s, "urn:cnb:builder"):
		return errors.New("buildpacks of a builder are not supported; write their image, as docker://REF")
	case strings.HasPrefix(s, "urn:"):
		return fmt.Errorf("URNs are not supported; write %s", forms)
	case runtime.GOOS != "windows" && windowsPath.MatchString(s):
		return errors.New("paths of Windows are not supported; write a path with slashes")
	}
	return nil
}

// archiveSuffixes are the suffixes of names that are never image references.
var archiveSuffixes = []string{".cnb", ".tgz", ".tar.gz", ".tar", ".zip"}

func isArchiveName(s string) bool {
	return slices.ContainsFunc(archiveSuffixes, func(suffix string) bool { return strings.HasSuffix(strings.ToLower(s), suffix) })
}

func looksLikePath(s string) bool {
	return isArchiveName(s) || s == "." || s == ".." || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") ||
		strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../")
}

// registryID matches ids of the Buildpack Registry: namespace/name@version.
var registryID = regexp.MustCompile(`^[a-z0-9.-]+/[a-z0-9.-]+@[0-9]+\.[0-9A-Za-z.+-]*$`)

func neither(s string, why error) error {
	if registryID.MatchString(s) {
		return errors.New("missing file or directory, and the Buildpack Registry is not supported; write the image, as docker://REF")
	}
	return fmt.Errorf("neither an existing file or directory nor an image reference (%w); write %s", why, forms)
}

func inBase(file, base string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(base, file)
}

// exists returns an error that names the file if it does not exist or cannot be accessed.
func exists(file string) error {
	_, err := os.Stat(file)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return err
	}
	return missingError(file)
}

// missingError is the path of a missing file.
type missingError string

func (e missingError) Error() string      { return string(e) + " does not exist" }
func (missingError) Is(target error) bool { return target == fs.ErrNotExist }
