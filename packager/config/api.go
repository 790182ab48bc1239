package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// knownAPIs are the released versions of the Buildpack API.
var knownAPIs = []string{"0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "0.10", "0.11", "0.12"}

// KnownAPI reports whether laminate knows a Buildpack API version, written as major.minor.
func KnownAPI(version string) bool { return slices.Contains(knownAPIs, version) }

// apiForm is major.minor or major (buildpack spec, "Buildpack API Version").
var apiForm = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?$`)

// canonicalAPI returns the version as labels hold it, always with a minor version.
func canonicalAPI(version string) (string, error) {
	major, minor, hasMinor := strings.Cut(version, ".")
	if !hasMinor {
		minor = "0"
	}
	_, err1 := strconv.ParseUint(major, 10, 64)
	_, err2 := strconv.ParseUint(minor, 10, 64)
	if !apiForm.MatchString(version) || err1 != nil || err2 != nil {
		return "", fmt.Errorf(`invalid api %s; write a version such as "0.10"`, quote(version))
	}
	return major + "." + minor, nil
}

// semver is a semantic version (semver.org), with or without the "v" of tags.
var semver = regexp.MustCompile(`^v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// IsSemver reports whether s is a semantic version, with or without a leading "v".
func IsSemver(s string) bool { return semver.MatchString(s) }
