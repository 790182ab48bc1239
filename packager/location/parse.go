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

// forms lists what a source can be, for messages.
const forms = "a directory, FILE.cnb or an archive (.tgz, .tar, .zip), oci:DIR[:TAG], oci-archive:FILE[:TAG], " +
	"docker-archive:FILE[:REF], docker://REF, docker-daemon:REF, a plain image reference, file://PATH, or an http(s):// URL"

// ParseSource reads the name of a place that a buildpack or an image comes
// from. Relative paths are relative to base; an empty base is the working
// directory. It looks at the disk only to tell a local path, which wins, from
// a plain image reference, and so that a missing file is named as such.
func ParseSource(s, base string) (Location, error) {
	l, err := parseSource(s, base)
	if err != nil {
		return Location{}, fmt.Errorf("source %q: %w", Redact(s), err)
	}
	l.Written = s
	if l.Kind == HTTP { // the others hold no secret, or they would be no references
		l.Written = Redact(s)
	}
	return l, nil
}

// ParseListed reads a source that package.toml or builder.toml lists. It
// differs from ParseSource in what an image reference means, with docker://
// or without: see [Listed].
func ParseListed(s, base string) (Location, error) {
	l, err := ParseSource(s, base)
	if l.Kind == Registry || l.Kind == Name {
		l.Kind = Listed
	}
	return l, err
}

// ListedImage reads the value of a key that can hold an image reference only.
// A file or directory of that name does not count.
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

// DestOptions is what the command line says of a destination besides its name.
type DestOptions struct {
	// Publish makes a plain REF one in a registry instead of the Docker daemon.
	Publish bool
	// Format is "image", "file", or "" to go by the name.
	Format string
}

// ParseDest reads the name of a place that images are written to. It does not
// look at the disk. Relative paths are relative to the working directory.
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
		return Location{}, errors.New("it looks like a file; write FILE.cnb, add --format file, or write oci:DIR, oci-archive:FILE or docker-archive:FILE")
	}
	if err := checkReference(s); err != nil {
		return Location{}, fmt.Errorf("it is no image reference (%w); write FILE.cnb, oci:DIR, oci-archive:FILE, docker-archive:FILE, docker://REF, docker-daemon:REF or a plain image reference", err)
	}
	if o.Publish {
		return Location{Kind: Registry, Ref: s}, nil
	}
	return Location{Kind: Daemon, Ref: s}, nil
}

// fits reports where the options contradict the destination, or where it is
// no place to write to.
func (o DestOptions) fits(l Location) error {
	isFile := l.Kind == Path || l.Kind == OCIArchive || l.Kind == DockerArchive
	switch {
	case o.Format != "" && o.Format != "image" && o.Format != "file":
		return fmt.Errorf("format %q is not known; it is image or file", o.Format)
	case l.Kind == HTTP:
		return errors.New("a web server cannot be written to; for a registry write docker://REF")
	case (l.Kind == Registry || l.Kind == Daemon) && strings.Contains(l.Ref, "@"):
		return errors.New("a destination is named by a tag, not by a digest")
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
		return "", errors.New("it names a directory; write FILE.cnb")
	}
	if filepath.Ext(file) == "" {
		file += ".cnb"
	}
	return file, nil
}

// windowsPath matches C:\DIR, C:/DIR, \\SHARE and .\DIR.
var windowsPath = regexp.MustCompile(`^(?:[A-Za-z]:[\\/]|\.{0,2}\\)`)

// refuse reports what other tools take and this one does not.
func refuse(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("it has control characters")
	case strings.HasPrefix(s, "urn:cnb:registry"):
		return errors.New("the Buildpack Registry is not looked up; write the image that it stands for, as docker://REF")
	case s == "from=builder", strings.HasPrefix(s, "from=builder:"), strings.HasPrefix(s, "urn:cnb:builder"):
		return errors.New("a buildpack cannot be taken from a builder that is not known here; write its image, as docker://REF")
	case strings.HasPrefix(s, "urn:"):
		return fmt.Errorf("URNs are not supported; write %s", forms)
	case runtime.GOOS != "windows" && windowsPath.MatchString(s):
		return errors.New("paths of Windows are not supported; write a path with slashes, on this machine")
	}
	return nil
}

// archiveSuffixes end the names that are never taken for image references.
var archiveSuffixes = []string{".cnb", ".tgz", ".tar.gz", ".tar", ".zip"}

func isArchiveName(s string) bool {
	return slices.ContainsFunc(archiveSuffixes, func(suffix string) bool { return strings.HasSuffix(strings.ToLower(s), suffix) })
}

func looksLikePath(s string) bool {
	return isArchiveName(s) || s == "." || s == ".." || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") ||
		strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../")
}

// registryID is what the Buildpack Registry calls a buildpack: namespace/name@version.
var registryID = regexp.MustCompile(`^[a-z0-9.-]+/[a-z0-9.-]+@[0-9]+\.[0-9A-Za-z.+-]*$`)

func neither(s string, why error) error {
	if registryID.MatchString(s) {
		return errors.New("it is no file or directory, and the Buildpack Registry is not looked up; write the image that it stands for, as docker://REF")
	}
	return fmt.Errorf("it is neither an existing file or directory nor an image reference (%w); write %s", why, forms)
}

func inBase(file, base string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(base, file)
}

// exists returns an error that names the file where there is none, or where
// nobody may look.
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

// missingError is the path of a file that is not there.
type missingError string

func (e missingError) Error() string      { return "there is no file or directory " + string(e) }
func (missingError) Is(target error) bool { return target == fs.ErrNotExist }
