// Package location parses the names of sources and destinations, on the command line and in
// package.toml and builder.toml.
package location

// Kind is the kind of a location.
type Kind int

// The kinds of locations.
const (
	// Path is a local file or directory. The content of a source decides what it is: a buildpack's
	// directory or archive, an OCI layout, a .cnb file, an OCI or Docker archive. As a destination
	// it is a .cnb file.
	Path          Kind = iota + 1
	OCILayout          // oci:DIR[:TAG]
	OCIArchive         // oci-archive:FILE[:TAG]
	DockerArchive      // docker-archive:FILE[:REF]
	Registry           // docker://REF, or a plain REF
	Daemon             // docker-daemon:REF, or a plain REF
	// Name is a plain REF as a source on the command line: in the Docker daemon
	// where the output goes to one and it has the image, else in a registry.
	Name
	// Listed is REF or docker://REF as a source in a TOML file: in the Docker
	// daemon, under the pull policy, or in a registry, as the output decides.
	Listed
	HTTP // http:// or https:// URL of a file
)

// Location is a parsed source or destination.
type Location struct {
	Kind Kind
	// Path is the file or directory of Path, OCILayout, OCIArchive and DockerArchive, absolute or
	// relative to the working directory.
	Path string
	// Ref is the image reference of Registry, Daemon, Name and Listed, the tag inside
	// an OCILayout or OCIArchive, or the reference inside a DockerArchive.
	Ref string
	// URL is the address of HTTP.
	URL string
	// Written is the location as the user wrote it, for messages.
	Written string
}

// String returns the location as it was written.
func (l Location) String() string { return l.Written }
