package cli

import (
	"fmt"
	"strings"

	"laminate/flatten"
	"laminate/packager/location"
)

// outputLayout returns the OCI layout that --output-layout names, as DIR or oci:DIR[:TAG], or the zero
// value.
func (s *smokeRun) outputLayout() (location.Location, error) {
	given := s.c.String("output-layout")
	if given == "" {
		return location.Location{}, nil
	}
	switch scheme, _, is := strings.Cut(given, ":"); {
	case is && scheme == "oci":
		at, err := location.ParseDest(given, location.DestOptions{})
		if err != nil {
			return at, fmt.Errorf("--output-layout: %w", err)
		}
		return at, nil
	case is && (scheme == "docker" || scheme == "docker-daemon" || scheme == "oci-archive" || scheme == "docker-archive"):
		return location.Location{}, fmt.Errorf("invalid --output-layout %q; write the directory of an OCI layout, as DIR or oci:DIR", flatten.Clip(given))
	}
	return location.Location{Kind: location.OCILayout, Path: given, Written: "oci:" + given}, nil
}
