package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"laminate/flatten"
)

// flattenMode is the value of --flatten-layers, which may be left out. The
// library asks a flag like it for no value, and sets it to "true".
type flattenMode flatten.Mode

// Set reads the value. The library may call it again with what String gave.
func (m *flattenMode) Set(s string) error {
	switch s {
	case "true":
		*m = flattenMode(flatten.Composites)
	case "false", "":
		*m = flattenMode(flatten.None)
	case string(flatten.Composites), string(flatten.All), string(flatten.AsPackaged), string(flatten.None):
		*m = flattenMode(s)
	default:
		return errors.New("it is composites, all, as-packaged or none")
	}
	return nil
}

func (m *flattenMode) String() string {
	if m == nil {
		return ""
	}
	return string(*m)
}

// IsBoolFlag makes the value optional.
func (m *flattenMode) IsBoolFlag() bool { return true }

// wrongCount says what is wrong with arguments of which there should be one.
func wrongCount(args []string) error {
	if len(args) == 0 {
		return errors.New("DEST is missing: where to write, as in out.cnb or docker://REF")
	}
	for _, a := range args {
		switch flatten.Mode(a) {
		case flatten.All, flatten.Composites, flatten.None:
			return fmt.Errorf("one DEST is expected, and there are %d (%s); a mode is written --flatten-layers=%s", len(args), strings.Join(args, " "), a)
		}
	}
	return fmt.Errorf("one DEST is expected, and there are %d: %s", len(args), strings.Join(args, " "))
}

func parseLabels(labels []string) (map[string]string, error) {
	parsed := map[string]string{}
	var errs []error
	for _, l := range labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			errs = append(errs, fmt.Errorf("label %q: it is written KEY=VALUE", l))
			continue
		}
		parsed[key] = value
	}
	return parsed, errors.Join(errs...)
}

// epoch reads SOURCE_DATE_EPOCH; without one it gives the zero time.
func epoch(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 || seconds > 253402300799 { // the year 9999
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q: it is a number of seconds since 1970", s)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// cacheDir is where files from web servers are kept between runs; "" where
// the environment names no place for it.
func (r *run) cacheDir() string {
	if dir := r.env("LAMINATE_CACHE_DIR"); dir != "" {
		return dir
	}
	if dir := r.env("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "laminate")
	}
	if home := r.env("HOME"); home != "" {
		return filepath.Join(home, ".cache", "laminate")
	}
	return ""
}
