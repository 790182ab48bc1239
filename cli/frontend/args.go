package frontend

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"laminate/builder/lifecycle"
	"laminate/flatten"
	"laminate/packager/config"
)

// arguments are the build arguments.
type arguments struct {
	builder       string // instead of that of the project descriptor
	runImage      string // instead of that of the builder
	platformAPI   string // instead of the newest that the lifecycle and the front end know
	cacheID       string // instead of the project's
	previousImage string // whose layers are reused, instead of that of the build before
	layout        bool   // the result is an OCI layout, as files, instead of an image
	tag           string // of the image in the layout, for docker load
	epoch         string // the creation time of the image, in seconds, or ""
	logLevel      string // of the lifecycle, or ""
	env           []config.EnvVar
}

// known are the arguments that are not environment variables.
var known = []string{"builder", "cache-id", "output", "platform-api", "previous-image", "run-image", "tag"}

// proxies are the arguments that BuildKit's clients set by themselves. They are for the network and not
// for the app.
var proxies = []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"}

// readArguments reads the build arguments. Arguments in capitals are environment variables of the
// build. Unknown arguments are warnings.
func readArguments(args map[string]string) (a arguments, warnings []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(args)) {
		value := args[name]
		switch upper := strings.ToUpper(name); {
		case name == "SOURCE_DATE_EPOCH":
			if _, err := strconv.ParseUint(value, 10, 63); value != "" && err != nil {
				return a, warnings, fmt.Errorf("invalid build argument SOURCE_DATE_EPOCH=%s; write seconds since 1970", flatten.Clip(value))
			}
			a.epoch = value
		case name == "CNB_LOG_LEVEL":
			a.logLevel = value
		case strings.HasPrefix(name, "BUILDKIT_") || slices.Contains(proxies, upper):
		case slices.Contains(known, name):
			if err := a.set(name, value); err != nil {
				return a, warnings, err
			}
		case name == upper && config.IsEnvName(name):
			if strings.Contains(value, "\x00") {
				return a, warnings, fmt.Errorf("build argument %s has a NUL character", name)
			}
			a.env = append(a.env, config.EnvVar{Name: name, Value: value})
		default:
			warnings = append(warnings, unknownArgument(name))
		}
	}
	if a.tag != "" && !a.layout {
		return a, warnings, fmt.Errorf("build argument tag needs output=layout; name an image with the client's own option, such as docker build --tag")
	}
	return a, warnings, nil
}

// cacheIDs are valid names of caches.
var cacheIDs = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.@/-]{0,127}$`)

// set sets one of the known arguments.
func (a *arguments) set(name, value string) error {
	if value == "" {
		return nil // as if it were not given
	}
	switch name {
	case "builder":
		a.builder = value
	case "run-image":
		a.runImage = value
	case "platform-api":
		if flatten.CompareAPIs(value, lifecycle.OldestPlatform) < 0 || flatten.CompareAPIs(value, lifecycle.NewestPlatform) > 0 {
			return fmt.Errorf("invalid build argument platform-api=%s; the lifecycle exports OCI layouts with %s to %s", flatten.Clip(value), lifecycle.OldestPlatform, lifecycle.NewestPlatform)
		}
		a.platformAPI = value
	case "cache-id":
		if !cacheIDs.MatchString(value) {
			return fmt.Errorf("invalid build argument cache-id=%s; it may have letters, digits and _ . @ / -", flatten.Clip(value))
		}
		a.cacheID = value
	case "previous-image":
		a.previousImage = value
	case "output":
		if value != "layout" && value != "image" {
			return fmt.Errorf("invalid build argument output=%s; write image or layout", flatten.Clip(value))
		}
		a.layout = value == "layout"
	case "tag":
		name, err := imageName(value)
		if err != nil {
			return fmt.Errorf("invalid build argument tag=%s; write NAME:TAG: %w", flatten.Clip(value), err)
		}
		a.tag = name
	}
	return nil
}

// imageName returns the name of an image as docker load takes it, which adds no tag to a name without one.
func imageName(text string) (string, error) {
	ref, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return "", err
	}
	if _, is := ref.(reference.Digested); is {
		return "", errors.New("it has a digest")
	}
	return reference.FamiliarString(reference.TagNameOnly(ref)), nil
}

// unknownArgument returns a warning.
func unknownArgument(name string) string {
	text := fmt.Sprintf("unknown build argument %q", flatten.Clip(name))
	switch near := flatten.NearMisses(name, known); {
	case len(near) > 0:
		return text + "; did you mean " + flatten.AnyOf(near) + "?"
	case config.IsEnvName(name):
		return text + "; environment variables of the build are in capitals, or in the project descriptor"
	}
	return text + "; known are " + strings.Join(known, ", ")
}
