package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"

	"laminate/flatten"
	"laminate/packager/localfile"
	"laminate/packager/location"
)

// flattenMode is the value of --flatten-layers, which is optional. For such a flag, the library
// passes "true" if there is no value.
type flattenMode flatten.Mode

// Set parses the value. The library may call it again with the result of String.
func (m *flattenMode) Set(s string) error {
	switch s {
	case "true":
		*m = flattenMode(flatten.Composites)
	case "false":
		*m = flattenMode(flatten.None)
	case string(flatten.Composites), string(flatten.All), string(flatten.Auto), string(flatten.AsPackaged), string(flatten.None):
		*m = flattenMode(s)
	default:
		return takes(s, " or none")
	}
	return nil
}

// modes maps values of flags to a [flatten.Mode].
var modes = []string{string(flatten.Composites), string(flatten.All), string(flatten.Auto), string(flatten.AsPackaged), string(flatten.None)}

// takes returns the end of the message about an unknown mode.
func takes(value, rest string) error {
	message := "it takes composites, all, auto, as-packaged" + rest
	if near := flatten.NearMisses(value, modes); len(near) > 0 {
		message = fmt.Sprintf("did you mean %s? It takes composites, all, auto, as-packaged%s", flatten.AnyOf(near), rest)
	}
	return errors.New(message)
}

func (m *flattenMode) String() string {
	if m == nil {
		return ""
	}
	return string(*m)
}

// IsBoolFlag makes the value optional.
func (m *flattenMode) IsBoolFlag() bool { return true }

// wrongCount returns an error if the arguments are not these images and DEST, or if an argument is
// meant as the value of a flag.
func (o *output) wrongCount(args, images []string) error {
	missing := errors.New("DEST is missing; name where to write, as in out.cnb or docker://REF")
	for _, l := range o.loose {
		if !slices.Contains(args, l.value) || !o.isValue(l.value, len(args)) {
			continue
		}
		flag := l.flag
		if hasFlag(o.c, "flatten-layers") {
			if flag = "flatten-layers"; !slices.Contains(modes, l.value) {
				flag = "flatten-group"
			}
		}
		err := fmt.Errorf("misplaced value %q; write it behind an equals sign: --%s=%s", flatten.Clip(l.value), flag, flatten.Clip(l.value))
		if len(args) == 1 {
			err = errors.Join(err, missing)
		}
		return err
	}
	switch n := len(args); {
	case n < len(images):
		return missingRef(images[n])
	case n == len(images):
		return missing
	case n == len(images)+1:
		return nil
	}
	var short []string
	for _, a := range args {
		short = append(short, flatten.Clip(a))
	}
	wanted := "one DEST"
	if len(images) > 0 {
		wanted = strings.Join(images, " ") + " DEST"
	}
	return fmt.Errorf("%d arguments (%s); write %s, and --tag for further names of the image", len(args), strings.Join(short, ", "), wanted)
}

// isValue reports whether an argument after a flag is the flag's value rather than DEST. The only
// argument is the value if it cannot be anything else.
func (o *output) isValue(arg string, of int) bool {
	dest, err := location.ParseDest(arg, location.DestOptions{})
	if of == 1 {
		return err != nil && !strings.Contains(arg, ":") || slices.Contains(modes, arg)
	}
	return err != nil || dest.Kind == location.Daemon && dest.Written == dest.Ref
}

// configError explains why the file of --config, or the one that is read without it, could not be
// read; errors about what is in the file stay as they are.
func configError(err error, file, what string, isDefault bool) error {
	var at *fs.PathError
	var irregular *localfile.NotRegularError
	if !errors.As(err, &at) || at.Path != file {
		return err
	}
	name := "--config " + file
	if isDefault {
		name = file
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no such file; name the %s to read", name, what)
	case errors.As(err, &irregular) && irregular.Mode.IsDir():
		return fmt.Errorf("%s: it is a directory; name the %s in it", name, what)
	}
	return fmt.Errorf("%s: %w", name, at.Err)
}

// parseLabels parses KEY=VALUE pairs. As in pack, a value may hold several pairs separated by
// commas, if each has a key; otherwise, the commas belong to the value.
func parseLabels(labels []string) (map[string]string, error) {
	parsed := map[string]string{}
	var errs []error
	for _, l := range labels {
		pairs := strings.Split(l, ",")
		if slices.ContainsFunc(pairs, func(p string) bool { return !strings.Contains(p, "=") }) {
			pairs = []string{l}
		}
		for _, pair := range pairs {
			key, value, ok := strings.Cut(pair, "=")
			if !ok || key == "" {
				errs = append(errs, fmt.Errorf("invalid --label %q; write KEY=VALUE", l))
				continue
			}
			parsed[key] = value
		}
	}
	return parsed, errors.Join(errs...)
}

// parseTags parses the references of --tag, which may begin with docker://.
func parseTags(tags []string) ([]string, error) {
	var parsed []string
	var errs []error
	for _, t := range tags {
		ref := strings.TrimPrefix(t, "docker://")
		if err := location.NoSecret(ref); err != nil {
			errs = append(errs, fmt.Errorf("--tag %q: %w", location.Redact(t), err))
			continue
		}
		if _, err := reference.ParseNormalizedNamed(ref); err != nil {
			errs = append(errs, fmt.Errorf("invalid --tag %q; write an image reference, as in acme/java:1.2.3", t))
		}
		if strings.Contains(ref, "@") {
			errs = append(errs, fmt.Errorf("invalid --tag %q; write a tag, not a digest", t))
		}
		parsed = append(parsed, ref)
	}
	return parsed, errors.Join(errs...)
}

// otherSystems are operating systems other than linux that images may be for, or that developers
// use. Some buildpackages of pack are for them.
var otherSystems = []string{"darwin", "freebsd", "netbsd", "openbsd", "windows"}

// parseTargets parses the platforms of --target. It returns those for linux, and separately those
// for other systems, which are skipped. It is an error if none is for linux.
func parseTargets(values []string) (targets, skipped []flatten.Target, err error) {
	var parsed []flatten.Target
	var errs []error
	isOther := func(t flatten.Target) bool { return slices.Contains(otherSystems, t.OS) }
	wrong := func(value string, err error) { errs = append(errs, fmt.Errorf("--target %s: %w", value, err)) }
	for _, v := range values {
		t, err := flatten.ParseTarget(v)
		if err == nil && !isOther(t) {
			err = checkTarget(t)
		}
		if err == nil && slices.ContainsFunc(parsed, func(p flatten.Target) bool { return p.String() == t.String() }) {
			err = errors.New("duplicate target")
		}
		if err != nil {
			wrong(v, err)
			continue
		}
		parsed = append(parsed, t)
		if isOther(t) {
			skipped = append(skipped, t)
		} else {
			targets = append(targets, t)
		}
	}
	if len(targets) == 0 {
		for _, t := range skipped {
			wrong(t.String(), checkTarget(t))
		}
	}
	return targets, skipped, errors.Join(errs...)
}

// joinTargets returns the targets as text.
func joinTargets(targets []flatten.Target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

// architectures are the architectures that Go, and so most software in images, supports on linux,
// by their names in images.
var architectures = []string{"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x"}

// otherNames are the names that kernels and compilers use for architectures.
var otherNames = map[string]string{"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armv7": "arm/v7", "armv6": "arm/v6"}

func checkTarget(t flatten.Target) error {
	switch {
	case t.OS != "linux":
		return errors.New("laminate makes images for linux only; write linux/amd64 or the like")
	case otherNames[t.Arch] != "":
		return fmt.Errorf("images call that architecture %s", otherNames[t.Arch])
	case t.Arch != "" && !slices.Contains(architectures, t.Arch):
		return fmt.Errorf("unknown architecture %q; write one of %s", t.Arch, strings.Join(architectures, ", "))
	}
	return nil
}

// checkHosts checks the values of --insecure-registry.
func checkHosts(hosts []string) (errs []error) {
	for _, host := range hosts {
		if strings.Contains(host, "/") {
			errs = append(errs, fmt.Errorf("invalid --insecure-registry %q; write HOST or HOST:PORT", host))
		}
	}
	return errs
}

// epoch parses SOURCE_DATE_EPOCH. If it is not set, epoch returns the zero time.
func epoch(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 || seconds > 253402300799 {
		return time.Time{}, fmt.Errorf("invalid SOURCE_DATE_EPOCH %q; write a number of seconds since 1970, up to the year 9999", s)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
